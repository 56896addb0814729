"""MobileNetEdgeTPU 1.0 convolutional trunk (the image encoder of `compact`).

The block table follows the ImageNet network published with MLPerf Mobile (mlcommons/mobile_models,
Apache-2.0). Its BatchNorm is already folded into the convolutions, so the trunk has none: it runs
the same in training and in inference and fine-tunes at any batch size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

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


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return how many pixels TensorFlow's "SAME" padding puts before and after `size` pixels.

    In total `max((ceil(n / s) - 1) * s + k - n, 0)`, the smaller half in front.
    """
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class SameConv2d(nn.Conv2d):
    """Convolution with TensorFlow's "SAME" padding, which is asymmetric at stride 2.

    The weights were trained so: symmetric padding would shift every feature map by half a pixel.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Convolve `[B, C, H, W]` into `[B, C', ceil(H / s), ceil(W / s)]`."""
        (kernel_h, kernel_w), (stride_h, stride_w) = self.kernel_size, self.stride
        height, width = input.shape[-2:]
        top, bottom = same_padding(height, kernel_h, stride_h)
        left, right = same_padding(width, kernel_w, stride_w)
        if top == bottom and left == right:
            # Symmetric: let the convolution pad, which saves a copy of the feature map.
            return F.conv2d(input, self.weight, self.bias, self.stride, (top, left), 1, self.groups)
        padded = F.pad(input, (left, right, top, bottom))
        return F.conv2d(padded, self.weight, self.bias, self.stride, 0, 1, self.groups)


class InvertedBottleneck(nn.Module):
    """Expand, filter, project; a residual connection where shape and width allow it."""

    def __init__(self, in_channels: int, spec: BlockSpec) -> None:
        super().__init__()
        middle, kernel, stride = spec.middle_channels, spec.kernel, spec.stride
        if spec.kind == "fused":
            expand = [SameConv2d(in_channels, middle, kernel, stride)]
        else:
            expand = [
                SameConv2d(in_channels, middle, 1),
                SameConv2d(middle, middle, kernel, stride, groups=middle),
            ]
        self.conv = nn.ModuleList([*expand, SameConv2d(middle, spec.out_channels, 1)])
        self.residual = (
            stride == 1 and in_channels == spec.out_channels and middle != NO_RESIDUAL_WIDTH
        )

    def forward(self, hidden: Tensor) -> Tensor:
        """Map `[B, C, H, W]` to `[B, C', H / s, W / s]`."""
        out = hidden
        for conv in list(self.conv)[:-1]:
            out = F.relu(conv(out), inplace=True)
        out = self.conv[-1](out)
        return hidden + out if self.residual else out


class MobileNetEdgeTpu(nn.Module):
    """The trunk up to its 1,280-channel head; the ImageNet classifier is optional.

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
        super().__init__()
        self.stem = nn.ModuleList([SameConv2d(3, 32, 3, 2), SameConv2d(32, 16, 1)])
        channels = 16
        layers = []
        for spec in blocks:
            layers.append(InvertedBottleneck(channels, spec))
            channels = spec.out_channels
        self.blocks = nn.ModuleList(layers)
        self.head = SameConv2d(channels, head_channels, 1)
        self.fc = nn.Linear(head_channels, IMAGENET_CLASSES) if with_classifier else None
        self.out_channels = head_channels

    def features(self, images: Tensor) -> Tensor:
        """Return the last block's output `[B, 192, H / 32, W / 32]` (no ReLU after it).

        Args:
            images: RGB `[B, 3, H, W]` scaled to [-1, 1].
        """
        hidden = F.relu(self.stem[0](images))
        hidden = self.stem[1](hidden)
        for block in self.blocks:
            hidden = block(hidden)
        return hidden

    def forward(self, images: Tensor) -> Tensor:
        """Return the head's feature map `[B, head_channels, H / 32, W / 32]`, non-negative.

        Args:
            images: RGB `[B, 3, H, W]` scaled to [-1, 1].
        """
        return F.relu(self.head(self.features(images)))

    def classify(self, images: Tensor) -> Tensor:
        """Return ImageNet logits `[B, 1001]`.

        Raises:
            ValueError: the trunk was built without its classifier.
        """
        if self.fc is None:
            raise ValueError("this trunk was built with with_classifier=False")
        logits: Tensor = self.fc(self(images).mean((2, 3)))
        return logits


def load_imagenet_weights(trunk: MobileNetEdgeTpu, state: dict[str, Tensor]) -> None:
    """Load a published state dict (keys `stem.*`, `blocks.*`, `head.*`, `fc.*`) into `trunk`.

    The classifier's weights are skipped where the trunk has none.

    Raises:
        RuntimeError: a key is missing, unexpected or of another shape.
    """
    if trunk.fc is None:
        state = {key: value for key, value in state.items() if not key.startswith("fc.")}
    trunk.load_state_dict({key: value.to(torch.float32) for key, value in state.items()})


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
    load_imagenet_weights(trunk, load_file(source))
