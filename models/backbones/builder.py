"""Build a convolutional trunk by name; every trunk maps `[B, 3, H, W]` to `[B, C, H/32, W/32]`."""

from __future__ import annotations

from typing import Literal, get_args

import torch.nn.functional as F
from torch import Tensor, nn

from models.backbones.mobilenet_edgetpu import BLOCKS, BlockSpec, MobileNetEdgeTpu

BackboneName = Literal["mobilenet_edgetpu", "efficientnet_b0", "tiny"]

_TINY_BLOCKS = (
    BlockSpec("fused", 8, 16, 3, 2),
    BlockSpec("fused", 8, 16, 3, 2),
    BlockSpec("depthwise", 8, 16, 3, 2),
    BlockSpec("depthwise", 8, 16, 5, 2),
)


class EfficientNetTrunk(nn.Module):
    """EfficientNet-B0 from transformers, without its classifier (Tan and Le 2019).

    Random weights: they arrive with a checkpoint or with `load_pretrained`.
    """

    stride = 32

    def __init__(self) -> None:
        super().__init__()
        # Imported here: only this trunk needs it, and it costs a second.
        from transformers import EfficientNetConfig, EfficientNetModel

        config = EfficientNetConfig(width_coefficient=1.0, depth_coefficient=1.0, hidden_dim=1280)
        self.net = EfficientNetModel(config)
        self.out_channels: int = config.hidden_dim

    def load_pretrained(self, source: str, revision: str = "main") -> None:
        """Take the weights of an EfficientNet-B0 of the hub, such as `google/efficientnet-b0`.

        Args:
            source: hub id, or a directory in `save_pretrained` layout.
            revision: branch, tag or commit of the hub's repository.

        Raises:
            OSError: it cannot be fetched or read.
            ValueError: it is another network.
        """
        from transformers import AutoConfig, EfficientNetModel

        config = AutoConfig.from_pretrained(source, revision=revision)
        mine = self.net.config
        for name in ("model_type", "width_coefficient", "depth_coefficient", "hidden_dim"):
            theirs = getattr(config, name, None)
            if theirs != getattr(mine, name):
                raise ValueError(
                    f"{name} is {theirs!r}, EfficientNet-B0 has {getattr(mine, name)!r}"
                )
        self.net = EfficientNetModel.from_pretrained(source, config=config, revision=revision)

    def forward(self, images: Tensor) -> Tensor:
        """Return features `[B, 1280, ceil(H / 32), ceil(W / 32)]` of images `[B, 3, H, W]`."""
        # transformers pads for even sizes only: without this a 299 px picture, the Keras
        # example's, would give 9 x 9 where Keras' own "SAME" padding gives 10 x 10.
        height, width = images.shape[-2:]
        images = F.pad(images, (0, -width % self.stride, 0, -height % self.stride))
        features: Tensor = self.net(images).last_hidden_state
        return features


def build_backbone(name: str) -> nn.Module:
    """Return a trunk with an `out_channels: int` attribute.

    Args:
        name: `"mobilenet_edgetpu"` (2.8 M parameters without its classifier), `"efficientnet_b0"`
            (4.0 M) or `"tiny"` (a few thousand, for tests).

    Raises:
        ValueError: no such trunk.
    """
    if name == "mobilenet_edgetpu":
        return MobileNetEdgeTpu(BLOCKS)
    if name == "efficientnet_b0":
        return EfficientNetTrunk()
    if name == "tiny":
        return MobileNetEdgeTpu(_TINY_BLOCKS, head_channels=16)
    known = ", ".join(get_args(BackboneName))
    raise ValueError(f"unknown backbone {name!r}; known: {known}")
