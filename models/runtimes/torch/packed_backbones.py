"""Convolutional trunks packed for inference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.backbones.inverted_bottlenecks import SameConv2d, same_padding
from models.backbones.mobilenet_edgetpu import MobileNetEdgeTpu
from models.runtimes.torch.packing import PackedConvolution

Trunk = Callable[[Tensor], Tensor]
"""Maps images `[B, 3, H, W]`, channels last, to features `[B, C, H / 32, W / 32]`."""


def pack_trunk(trunk: nn.Module, dtype: torch.dtype) -> Trunk:
    """Return `trunk` for inference in float32 or bfloat16."""
    if isinstance(trunk, MobileNetEdgeTpu):
        return PackedMobileNet(trunk, dtype)
    eager: Any = trunk.eval().to(dtype)
    return cast(Trunk, eager.to(memory_format=torch.channels_last))


class _SameConvolution:
    """A `SameConv2d`, packed."""

    def __init__(self, module: nn.Module, dtype: torch.dtype, relu: bool) -> None:
        conv = cast(SameConv2d, module)
        self._kernel, self._stride = conv.kernel_size[0], conv.stride[0]
        self._conv = PackedConvolution(
            conv.weight, cast(Tensor, conv.bias), self._stride, conv.groups, dtype, relu
        )

    def __call__(self, images: Tensor, residual: Tensor | None = None) -> Tensor:
        height, width = images.shape[-2:]
        top, bottom = same_padding(height, self._kernel, self._stride)
        left, right = same_padding(width, self._kernel, self._stride)
        if top == bottom == left == right:
            return self._conv(images, top, residual)
        return self._conv(F.pad(images, (left, right, top, bottom)), 0, residual)


class PackedMobileNet:
    """`MobileNetEdgeTpu` up to its head, with activations and residual sums fused."""

    def __init__(self, trunk: MobileNetEdgeTpu, dtype: torch.dtype) -> None:
        self._stem = (
            _SameConvolution(trunk.stem[0], dtype, relu=True),
            _SameConvolution(trunk.stem[1], dtype, relu=False),
        )
        self._blocks = []
        for block in trunk.blocks:
            *expand, project = list(cast(nn.ModuleList, block.conv))
            self._blocks.append(
                (
                    [_SameConvolution(conv, dtype, relu=True) for conv in expand],
                    _SameConvolution(project, dtype, relu=False),
                    bool(block.residual),
                )
            )
        self._head = _SameConvolution(trunk.head, dtype, relu=True)

    def __call__(self, images: Tensor) -> Tensor:
        """Return features `[B, head_channels, H / 32, W / 32]`, non-negative."""
        hidden = self._stem[1](self._stem[0](images))
        for expand, project, residual in self._blocks:
            inner = hidden
            for conv in expand:
                inner = conv(inner)
            hidden = project(inner, hidden if residual else None)
        return self._head(hidden)
