"""MobileNetEdgeTPU 1.0 convolutional trunk (the image encoder of `compact`).

The block table follows the ImageNet network published with MLPerf Mobile (mlcommons/mobile_models,
Apache-2.0), where BatchNorm is already folded into the convolutions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from models.backbones.inverted_bottlenecks import Bottleneck, BottleneckTrunk, SameConv2d

NO_RESIDUAL_WIDTH = 768
"""Blocks whose middle layer has this width carry no residual connection, even at stride 1."""

IMAGENET_CLASSES = 1001
"""ImageNet classes of the published classifier; 0 is "background"."""


@dataclass(frozen=True)
class BlockSpec:
    """One inverted-bottleneck block.

    Attributes:
        kind: `"fused"` expands with one full k x k convolution; `"depthwise"` expands with a 1 x 1
            convolution followed by a k x k depthwise one. Both project back with 1 x 1.
        out_channels: channels after the projection.
        middle_channels: channels of the expanded representation.
        kernel: side of the spatial kernel, in pixels.
        stride: 1 or 2.
    """

    kind: Literal["fused", "depthwise"]
    out_channels: int
    middle_channels: int
    kernel: int
    stride: int


def _fused(out: int, middle: int, kernel: int = 3, stride: int = 1) -> BlockSpec:
    return BlockSpec("fused", out, middle, kernel, stride)


def _depthwise(out: int, middle: int, kernel: int = 3, stride: int = 1) -> BlockSpec:
    return BlockSpec("depthwise", out, middle, kernel, stride)


BLOCKS: tuple[BlockSpec, ...] = (
    _fused(32, 128, stride=2),
    *[_fused(32, 128)] * 3,
    _fused(48, 256, stride=2),
    *[_fused(48, 192)] * 3,
    _depthwise(96, 384, stride=2),
    *[_depthwise(96, 384)] * 3,
    _depthwise(96, 768),
    *[_depthwise(96, 384)] * 3,
    _depthwise(160, 768, kernel=5, stride=2),
    *[_depthwise(160, 640, kernel=5)] * 3,
    _depthwise(192, 1280),
)
"""The published network: total stride 32 with the stem, 192 channels out."""

TINY_BLOCKS = (
    _fused(8, 16, stride=2),
    _fused(8, 16, stride=2),
    _depthwise(8, 16, stride=2),
    _depthwise(8, 16, kernel=5, stride=2),
)
"""A network of a few thousand parameters, for tests."""


def _relu(hidden: Tensor) -> Tensor:
    return F.relu(hidden, inplace=True)


def _bottleneck(in_channels: int, spec: BlockSpec) -> Bottleneck:
    """Return a block; a residual connection where shape and width allow it."""
    middle, kernel, stride = spec.middle_channels, spec.kernel, spec.stride
    if spec.kind == "fused":
        expand = [SameConv2d(in_channels, middle, kernel, stride)]
    else:
        expand = [
            SameConv2d(in_channels, middle, 1),
            SameConv2d(middle, middle, kernel, stride, groups=middle),
        ]
    residual = stride == 1 and in_channels == spec.out_channels and middle != NO_RESIDUAL_WIDTH
    return Bottleneck([*expand, SameConv2d(middle, spec.out_channels, 1)], residual, _relu)


class MobileNetEdgeTpu(BottleneckTrunk):
    """The trunk up to its 1,280-channel head, non-negative; the ImageNet classifier is optional.

    Args:
        blocks: the block table; tests pass a short one.
        head_channels: channels of the feature map handed to the decoder.
        with_classifier: also build `fc`, to check the weights against published logits.
    """

    def __init__(
        self,
        blocks: tuple[BlockSpec, ...] = BLOCKS,
        head_channels: int = 1280,
        with_classifier: bool = False,
    ) -> None:
        super().__init__(_relu)
        self.stem = nn.ModuleList([SameConv2d(3, 32, 3, 2), SameConv2d(32, 16, 1)])
        channels = 16
        layers = []
        for spec in blocks:
            layers.append(_bottleneck(channels, spec))
            channels = spec.out_channels
        self.blocks = nn.ModuleList(layers)
        self.add_head(channels, head_channels, IMAGENET_CLASSES if with_classifier else None)

    def features(self, images: Tensor) -> Tensor:
        """Return the last block's output `[B, 192, H / 32, W / 32]` (no ReLU after it).

        Args:
            images: RGB `[B, 3, H, W]` scaled to [-1, 1].
        """
        hidden = _relu(self.stem[0](images))
        hidden = self.stem[1](hidden)
        for block in self.blocks:
            hidden = block(hidden)
        return hidden


def load_published(trunk: nn.Module, source: str) -> None:
    """Put the published ImageNet weights into a `MobileNetEdgeTpu`.

    Args:
        trunk: from this module.
        source: a safetensors file.

    Raises:
        OSError, safetensors.SafetensorError: the file cannot be read.
        RuntimeError: a tensor is missing, unexpected or of another shape.
    """
    if not isinstance(trunk, MobileNetEdgeTpu):
        raise ValueError("this is no MobileNetEdgeTPU")
    trunk.load_weights(load_file(source))
