"""EfficientNet-B0 (Tan and Le 2019) of transformers, the image encoder of `keras-example`."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class EfficientNetTrunk(nn.Module):
    """EfficientNet-B0 without its classifier: 4.0 M parameters.

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


def load_pretrained(trunk: nn.Module, source: str) -> None:
    """Put weights of the hub into an `EfficientNetTrunk`.

    Args:
        trunk: from this module.
        source: hub id, with `@revision` if need be, or a `save_pretrained` directory.

    Raises:
        OSError: it cannot be fetched or read.
        ValueError: it is another network.
    """
    if not isinstance(trunk, EfficientNetTrunk):
        raise ValueError("this is no EfficientNet")
    name, _, revision = source.partition("@")
    trunk.load_pretrained(name, revision or "main")
