"""The trunk against its published check values, and its padding against the formula."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from models.backbones.inverted_bottlenecks import SameConv2d
from models.backbones.mobilenet_edgetpu import MobileNetEdgeTpu

WEIGHTS = (
    Path(__file__).resolve().parents[3].parent
    / "shared/data/backbones/mobilenet_edgetpu.safetensors"
)


@pytest.mark.skipif(not WEIGHTS.is_file(), reason="no ../shared/data with the ImageNet weights")
def test_published_weights_give_the_published_values() -> None:
    trunk = MobileNetEdgeTpu(with_classifier=True).eval()
    trunk.load_weights(load_file(WEIGHTS))
    image = torch.linspace(-1, 1, 3 * 224 * 224).reshape(1, 3, 224, 224)
    with torch.no_grad():
        last, head = trunk.features(image), trunk(image)
        values, classes = trunk.classify(image).topk(5)
    assert last.shape == (1, 192, 7, 7)
    assert head.shape == (1, 1280, 7, 7)
    assert last.mean().item() == pytest.approx(0.070217, abs=1e-4)
    assert last.std().item() == pytest.approx(4.152567, abs=1e-3)
    assert head.mean().item() == pytest.approx(0.142852, abs=1e-4)
    assert head.std().item() == pytest.approx(0.747883, abs=1e-4)
    assert classes[0].tolist() == [150, 784, 112, 410, 886]
    assert values[0].tolist() == pytest.approx([5.354, 4.050, 3.893, 3.819, 3.746], abs=2e-3)


@pytest.mark.parametrize("size", [7, 8, 15, 16])
@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
def test_same_padding_puts_the_smaller_half_in_front(size: int, kernel: int, stride: int) -> None:
    conv = SameConv2d(1, 1, kernel, stride)
    torch.nn.init.zeros_(conv.weight)
    torch.nn.init.zeros_(conv.bias)
    with torch.no_grad():
        conv.weight[0, 0, kernel // 2, kernel // 2] = 1  # reads the window's centre
        image = torch.arange(size * size, dtype=torch.float32).view(1, 1, size, size)
        out = conv(image)[0, 0]
    cells = -(-size // stride)
    assert out.shape == (cells, cells)
    front = max((cells - 1) * stride + kernel - size, 0) // 2
    for row in range(cells):
        centre = row * stride - front + kernel // 2
        expected = image[0, 0, centre, centre].item() if 0 <= centre < size else 0.0
        assert out[row, row].item() == expected


def test_residual_only_where_shapes_match_and_width_is_not_768() -> None:
    trunk = MobileNetEdgeTpu()
    residual = [index for index, block in enumerate(trunk.blocks) if block.residual]
    assert residual == [1, 2, 3, 5, 6, 7, 9, 10, 11, 13, 14, 15, 17, 18, 19]


def test_classifier_must_have_been_built() -> None:
    with pytest.raises(ValueError, match="with_classifier"):
        MobileNetEdgeTpu().classify(torch.zeros(1, 3, 32, 32))
