"""Image encoders (CNN trunks): one file a backbone, one entry each in `BACKBONES`.

To add one, write its network (`[B, 3, H, W]` to `[B, C, ceil(H / stride), ceil(W / stride)]`, with
an `out_channels: int`) into a file beside this one and declare it below: configurations, training
and inference take the rest from here. `tests/models/backbones` holds every entry to what it says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from torch import nn

from models.backbones import efficientnet_lite
from models.backbones.efficientnet import EfficientNetTrunk, load_pretrained
from models.backbones.efficientnet_lite import EfficientNetLite
from models.backbones.mobilenet_edgetpu import TINY_BLOCKS, MobileNetEdgeTpu, load_published

_Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Backbone:
    """An image encoder and the pictures that it was made for.

    Attributes:
        build: returns the network with random weights and `out_channels: int`.
        load_weights: puts pretrained weights into what `build` returned; says which source it
            takes. None where there are none.
        height, width: input size in pixels, unless a configuration says otherwise.
        mean, std: per channel, of pixels scaled to 0..1, as it was trained with.
        stride: input pixels a cell of the feature map, each way.
    """

    build: Callable[[], nn.Module]
    load_weights: Callable[[nn.Module, str], None] | None = None
    height: int = 224
    width: int = 224
    mean: _Triple = (0.5, 0.5, 0.5)
    std: _Triple = (0.5, 0.5, 0.5)
    stride: int = 32

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Return rows and columns of the feature map of a picture of so many pixels."""
        return -(-height // self.stride), -(-width // self.stride)


BACKBONES: Mapping[str, Backbone] = {
    "mobilenet_edgetpu": Backbone(MobileNetEdgeTpu, load_published),
    "efficientnet_b0": Backbone(
        EfficientNetTrunk,
        load_pretrained,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
    ),
    "efficientnet_lite2": Backbone(
        EfficientNetLite,
        efficientnet_lite.load_published,
        mean=(127 / 255,) * 3,
        std=(128 / 255,) * 3,
    ),
    "tiny": Backbone(partial(MobileNetEdgeTpu, TINY_BLOCKS, head_channels=16)),
}
"""Backbone name to backbone."""


def find_backbone(name: str) -> Backbone:
    """Return the backbone of a name.

    Raises:
        ValueError: no backbone has this name.
    """
    try:
        return BACKBONES[name]
    except (KeyError, TypeError):  # a configuration file may hold anything in a name's place
        known = ", ".join(BACKBONES)
        raise ValueError(f"unknown backbone {name!r}; known: {known}") from None


def build_backbone(name: str) -> nn.Module:
    """Return the network of a backbone, with random weights.

    Raises:
        ValueError: no backbone has this name.
    """
    return find_backbone(name).build()
