"""Packed networks against the one that was trained; which precision is chosen, and why."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from transformers.pytorch_utils import Conv1D

import models.api.metadata as metadata_module
from models import choose
from models.api.device import Precision, PrecisionSetting, keeps_its_scores
from models.api.measured import Conditions, Measured
from models.api.metadata import BrokenModelError
from models.captioners.cnn_transformer.captioner import CnnTransformerCaptioner
from models.captioners.cnn_transformer.config import CnnTransformerConfig
from models.captioners.cnn_transformer.inference import InferenceNetwork
from models.captioners.cnn_transformer.network import CnnTransformer
from models.captioners.cnn_transformer.tokenizer import CaptionTokenizer
from models.decoding.protocol import SearchSettings
from models.layers.attention import kept, look
from models.registry import load_captioner
from models.runtimes import formats
from models.runtimes.torch.packing import (
    Activation,
    PackedConvolution,
    activate,
    pack_linear,
    pack_network,
)
from models.runtimes.torch.search import beam_search
from models.store import StoredModel
from serving.engine import captioning as engine
from tests.formats import needs

Maker = Callable[[str], CnnTransformer]
CPU = torch.device("cpu")


def pictures(count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, 3, 64, 64), dtype=torch.uint8, generator=generator)


# --- kernels -------------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["none", "relu", "gelu", "gelu_tanh"])
@pytest.mark.parametrize(
    ("precision", "tolerance"), [("fp32", 1e-5), ("bf16", 0.02), ("int8", 0.02)]
)
def test_packed_linear_is_the_linear_layer(
    precision: Precision, tolerance: float, activation: Activation
) -> None:
    needs(precision)
    torch.manual_seed(0)
    weight, bias, hidden = torch.randn(48, 32), torch.randn(48), torch.randn(3, 5, 32)
    wanted = activate(F.linear(hidden, weight, bias), activation)
    packed = pack_linear(weight, bias, precision, activation)
    found = packed(hidden.bfloat16() if precision == "bf16" else hidden)
    assert found.dtype == (torch.bfloat16 if precision == "bf16" else torch.float32)
    assert found.shape == wanted.shape
    assert (found.float() - wanted).abs().max() < tolerance * wanted.abs().max()


def test_int8_keeps_small_outputs_beside_large_ones() -> None:
    """One scale an output channel: a large channel must not drown a small one."""
    torch.manual_seed(0)
    weight = torch.randn(2, 64) * torch.tensor([[100.0], [0.01]])
    hidden = torch.randn(4, 64)
    found, wanted = pack_linear(weight, None, "int8")(hidden), F.linear(hidden, weight)
    error = (found - wanted).abs().amax(0) / wanted.abs().amax(0)
    assert error.max() < 0.02


@pytest.mark.parametrize("groups", [1, 8])
@pytest.mark.parametrize("stride", [1, 2])
def test_packed_convolution_with_relu_and_residual(groups: int, stride: int) -> None:
    torch.manual_seed(0)
    weight, bias = torch.randn(8, 8 // groups, 3, 3), torch.randn(8)
    images = torch.randn(2, 8, 10, 12).contiguous(memory_format=torch.channels_last)
    wanted = F.conv2d(images, weight, bias, stride, 1, 1, groups)
    plain = PackedConvolution(weight, bias, stride, groups, torch.float32)
    relu = PackedConvolution(weight, bias, stride, groups, torch.float32, relu=True)
    residual = torch.randn_like(wanted).contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(plain(images, 1), wanted, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(relu(images, 1), wanted.relu(), rtol=1e-4, atol=1e-4)
    # One packed layer takes other sizes too.
    torch.testing.assert_close(
        plain(images[:1, :, :6], 1),
        F.conv2d(images[:1, :, :6], weight, bias, stride, 1, 1, groups),
        rtol=1e-4,
        atol=1e-4,
    )
    torch.testing.assert_close(
        plain(images, 1, residual.clone()), wanted + residual, rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("pictures_", [1, 40])
def test_looking_is_attention(pictures_: int) -> None:
    torch.manual_seed(0)
    query = torch.randn(pictures_, 4, 3, 32)
    key, value = torch.randn(2, pictures_, 4, 49, 32).unbind(0)
    wanted = F.scaled_dot_product_attention(query, key, value)
    torch.testing.assert_close(look(query, key, value, 32**-0.5), wanted, rtol=1e-4, atol=1e-5)
    narrow = kept(key, True), kept(value, True)
    assert narrow[0].dtype == (torch.bfloat16 if pictures_ > 20 else torch.float32)
    found = look(query, *narrow, 32**-0.5)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, wanted, rtol=0.03, atol=0.03)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
def test_packing_a_network_of_another_library(precision: Precision) -> None:
    needs(precision)
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(16, 8), nn.Sequential(Conv1D(12, 8)), nn.Linear(12, 5))
    hidden = torch.randn(3, 16)
    with torch.inference_mode():
        wanted = network(hidden)
        packed = copy.deepcopy(network)
        pack_network(packed, precision, vocabulary="2")
        assert not [m for m in packed.modules() if isinstance(m, nn.Linear | Conv1D)]
        found = packed(hidden)
        assert found.dtype == torch.float32  # the vocabulary stays float32
        tolerance = 1e-5 if precision == "fp32" else 0.05
        assert (found - wanted).abs().max() < tolerance * wanted.abs().max()


# --- networks ------------------------------------------------------------------------------------


@pytest.fixture
def packed(
    make_network: Maker, style: str, tmp_path: Path
) -> Iterator[tuple[CnnTransformer, Callable[[Precision], InferenceNetwork]]]:
    network = make_network(style)
    network.save_pretrained(tmp_path)
    with torch.inference_mode():
        yield network, lambda precision: InferenceNetwork.load(tmp_path, precision)


def test_float32_gives_the_trained_networks_tokens_and_scores(
    packed: tuple[CnnTransformer, Callable[[Precision], InferenceNetwork]],
) -> None:
    network, load = packed
    fast, images = load("fp32"), pictures(9)
    torch.testing.assert_close(fast.encode(images), network.encode(images), rtol=1e-4, atol=1e-4)
    for beams in (1, 4):
        how = SearchSettings(
            network.bos_id, network.eos_id, max_tokens=14, num_beams=beams, num_return=beams
        )
        ours, theirs = (
            beam_search(n.step, n.start(n.encode(images), 14), 9, how, CPU) for n in (fast, network)
        )
        for mine, wanted in zip(ours, theirs, strict=True):
            assert [h.tokens for h in mine] == [h.tokens for h in wanted]
            assert [h.score for h in mine] == pytest.approx([h.score for h in wanted], abs=1e-3)


@pytest.mark.parametrize("backbone", ["mobilenet_edgetpu", "efficientnet_lite2"])
def test_models_of_today_and_of_before_are_served(
    backbone: str, tokenizer: CaptionTokenizer, tmp_path: Path
) -> None:
    """The first trunk is packed, the second runs as plain modules: what a model says is its own."""
    torch.manual_seed(7)
    config = CnnTransformerConfig(
        backbone,
        image_height=64,
        image_width=64,
        vocab_size=len(tokenizer),
        d_model=32,
        encoder_heads=2,
        decoder_layers=1,
        decoder_heads=2,
        ffn_dim=48,
    )
    network = CnnTransformer(config).eval()
    network.save_pretrained(tmp_path)
    with torch.inference_mode():
        fast = InferenceNetwork.load(tmp_path, "fp32")
        found, expected = fast.encode(pictures(3)), network.encode(pictures(3))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_teacher_forcing_and_attention_are_the_trained_networks(
    packed: tuple[CnnTransformer, Callable[[Precision], InferenceNetwork]],
) -> None:
    network, load = packed
    fast, images = load("fp32"), pictures(2)
    memory, theirs = fast.encode(images), network.encode(images)
    tokens = torch.randint(4, network.vocab_size, (6, 7), generator=torch.manual_seed(3))
    # Two pictures, three rows each.
    torch.testing.assert_close(
        fast.decode(tokens, memory), network.decode(tokens, theirs), rtol=1e-3, atol=1e-3
    )
    maps = fast.word_maps(tokens, memory)
    torch.testing.assert_close(maps, network.word_maps(tokens, theirs), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(maps.sum((-1, -2)), torch.ones(6, 7))


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_narrow_formats_stay_close(
    packed: tuple[CnnTransformer, Callable[[Precision], InferenceNetwork]], precision: Precision
) -> None:
    needs(precision)
    network, load = packed
    fast, images = load(precision), pictures(4)
    tokens = torch.randint(4, network.vocab_size, (4, 6), generator=torch.manual_seed(3))
    wanted = network.decode(tokens, network.encode(images)).log_softmax(-1)
    found = fast.decode(tokens, fast.encode(images)).log_softmax(-1)
    assert found.dtype == torch.float32
    assert torch.isneginf(found[..., :3]).all() and torch.isneginf(wanted[..., :3]).all()
    assert (found - wanted)[..., 3:].abs().mean() < 0.1 * wanted[..., 3:].std()
    assert (found.argmax(-1) == wanted.argmax(-1)).float().mean() > 0.85


# --- the choice ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("measured", "accepted"),
    [({}, False), ({"a": 0.592}, False), ({"a": 0.596}, True), ({"a": 0.7}, True),
     ({"a": 0.6, "b": 0.1}, False), ({"c": 0.6}, False)],
)  # fmt: skip
def test_int8_must_keep_the_scores(measured: dict[str, float], accepted: bool) -> None:
    assert keeps_its_scores(measured, {"a": 0.6, "b": 0.5}) is accepted


def with_scores(directory: Path, int8: float) -> None:
    found = metadata_module.read(directory)
    for precision, cider in (("fp32", 0.6), ("int8", int8)):
        how = Conditions(data="a", num_beams=3, precision=precision)  # type: ignore[arg-type]
        found = found.with_scores(Measured(conditions=how, scores={"cider": cider}))
    # Neither in a way in which float32 was not measured says anything of int8.
    how = Conditions(data="a", num_beams=1)
    found = found.with_scores(Measured(conditions=how, scores={"cider": 0.1}))
    metadata_module.write(directory, found)


def test_only_what_was_measured_alike_is_compared(directory: Path) -> None:
    with_scores(directory, 0.599)
    found = metadata_module.read(directory)
    reference = found.measured_in("fp32", "cider")
    assert keeps_its_scores(found.measured_in("int8", "cider"), reference)
    wider = Conditions(data="a", num_beams=5, precision="int8")
    found = found.with_scores(Measured(conditions=wider, scores={"cider": 0.7}))
    assert not keeps_its_scores(found.measured_in("int8", "cider"), reference)


class Clock:
    """Time that passes as the test says, whatever this processor computes in: in float32."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: dict[str, float]) -> None:
        self.now = 0.0
        real = CnnTransformerCaptioner.caption

        def caption(captioner, pixels, options):  # type: ignore[no-untyped-def]
            self.now += seconds[captioner.network.precision]
            return real(captioner, pixels, options)

        def load(directory, precision, backend):  # type: ignore[no-untyped-def]
            captioner = load_captioner(directory)
            captioner.network.precision = precision
            return captioner

        monkeypatch.setattr(CnnTransformerCaptioner, "caption", caption)
        monkeypatch.setattr(choose, "load_captioner", load)
        monkeypatch.setattr(choose, "has_bf16", lambda: True)
        monkeypatch.setattr(choose, "has_int8", lambda: True)

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("int8_cider", "seconds", "taken"),
    [
        (0.6, {"fp32": 3, "bf16": 2, "int8": 1}, "int8"),
        (0.5, {"fp32": 3, "bf16": 2, "int8": 1}, "bf16"),
        (0.6, {"fp32": 3, "bf16": 4, "int8": 5}, "fp32"),
        (0.6, {"fp32": 3, "bf16": 2.9, "int8": 2.8}, "fp32"),
        (0.6, {"fp32": 3, "bf16": 1, "int8": 2}, "bf16"),
    ],
)
def test_auto_takes_the_fastest_that_the_card_allows(
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    int8_cider: float,
    seconds: dict[str, float],
    taken: str,
) -> None:
    with_scores(directory, int8_cider)
    clock = Clock(monkeypatch, seconds)
    captioner, choice = choose.load_fastest(directory, "auto", clock=clock)
    assert isinstance(captioner, CnnTransformerCaptioner)
    assert captioner.network.precision == choice.precision == taken  # type: ignore[union-attr]
    tried = {name: 1000.0 * value for name, value in seconds.items()}
    if int8_cider < 0.59:
        tried.pop("int8")
    assert choice.ms_per_caption == tried


def test_a_machine_that_becomes_slower_does_not_decide(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch, {"fp32": 2, "bf16": 1})
    monkeypatch.setattr(choose, "has_int8", lambda: False)
    begun = clock.now

    def slower() -> float:
        # Every call later in time takes longer: the last ones three times as long.
        return (clock.now - begun) ** 1.5

    choice = choose.load_fastest(directory, "auto", clock=slower)[1]
    assert choice.precision == "bf16"


def test_a_processor_without_bfloat16_is_left_float32(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choose, "has_bf16", lambda: False)
    monkeypatch.setattr(choose, "has_int8", lambda: False)
    with_scores(directory, 0.6)
    choice = choose.load_fastest(directory, "auto")[1]
    assert choice.precision == "fp32" and choice.ms_per_caption == {}


def test_what_is_asked_for_is_taken_even_without_scores(directory: Path) -> None:
    captioner, choice = choose.load_fastest(directory, "int8")
    assert captioner.network.precision == "int8"  # type: ignore[attr-defined]
    assert choice.asked == "int8" and choice.ms_per_caption == {}


def test_a_format_that_the_processor_lacks_is_refused_by_name(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "formats", lambda backend, device: ("fp32", "int8"))
    monkeypatch.setattr(formats, "processor_name", lambda: "Old Chip, AVX2")
    refusal = (
        r"this processor \(Old Chip, AVX2\) does not compute in bf16 on torch; "
        "take auto, fp32 or int8"
    )
    with pytest.raises(formats.PrecisionError, match=f"^{refusal}$"):
        choose.load_fastest(directory, "bf16")
    with pytest.raises(BrokenModelError, match=f"^CAPTIONBOX_PRECISION=bf16: {refusal}$"):
        engine_loads(directory, monkeypatch, "bf16")
    # Nothing of a format that is lacking is tried where the choice is the machine's.
    with_scores(directory, 0.1)
    monkeypatch.setattr(choose, "has_bf16", lambda: False)
    assert choose.load_fastest(directory, "auto")[1].precision == "fp32"


def engine_loads(directory: Path, monkeypatch: pytest.MonkeyPatch, precision: str) -> None:
    model = StoredModel("compact", "test", directory, metadata_module.read(directory))
    monkeypatch.setattr(engine.ServedModels, "captioners", lambda _: [model])
    monkeypatch.setattr(engine.ServedModels, "__init__", lambda *_: None)
    engine.BatchCaptioner(["compact"], 1, cast(PrecisionSetting, precision))


def test_a_method_that_cannot_says_what_it_can(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CnnTransformerCaptioner, "precisions", ("fp32",))
    with pytest.raises(ValueError, match="'compact' computes in fp32, not in int8"):
        load_captioner(directory, "int8")


def test_serving_compact_imports_no_transformers() -> None:
    """Its import takes two seconds of every engine's start."""
    program = (
        "import sys; from pathlib import Path; from models.registry import load_captioner; "
        "load_captioner(Path('models/weights/compact')); sys.exit('transformers' in sys.modules)"
    )
    root = Path(__file__).resolve().parents[3]
    assert subprocess.run([sys.executable, "-c", program], cwd=root, check=False).returncode == 0
