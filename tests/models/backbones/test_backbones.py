"""Every backbone is what its entry in the table says."""

import pytest
import torch

from models.backbones import BACKBONES, build_backbone


@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_gives_the_grid_it_declares(name: str) -> None:
    backbone = BACKBONES[name]
    trunk = backbone.build().eval()
    for height, width in ((96, 64), (backbone.stride + 1, 2 * backbone.stride - 1)):
        with torch.no_grad():
            features = trunk(torch.zeros(1, 3, height, width))
        assert features.shape == (1, trunk.out_channels, *backbone.grid(height, width))


def test_efficientnet_has_the_keras_examples_grid() -> None:
    trunk = build_backbone("efficientnet_b0").eval()
    with torch.no_grad():
        assert trunk(torch.zeros(1, 3, 299, 299)).shape == (1, 1280, 10, 10)


def test_unknown_backbone_is_named() -> None:
    with pytest.raises(ValueError, match="unknown backbone 'resnet9000'; known: mobilenet"):
        build_backbone("resnet9000")
