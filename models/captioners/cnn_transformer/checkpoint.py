"""Reads the model directory of a `CnnTransformer` for inference: its sizes and its weights.

Without transformers, whose import alone costs an engine two seconds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from models.api.device import Precision
from models.backbones import build_backbone
from models.runtimes.torch.packing import Activation, Linear, pack_linear

CONFIG_NAME = "config.json"
WEIGHTS_NAME = "model.safetensors"


@dataclass(frozen=True)
class Sizes:
    """What `config.json` says, see `cnn_transformer.config.CnnTransformerConfig`."""

    backbone: str
    image_height: int
    image_width: int
    image_mean: list[float]
    image_std: list[float]
    vocab_size: int
    d_model: int
    encoder_layers: int
    encoder_heads: int
    decoder_layers: int
    decoder_heads: int
    head_dim: int
    pre_norm: bool
    project_memory: bool
    memory_activation: Literal["linear", "relu"]
    scale_embeddings: bool
    tie_embeddings: bool
    max_positions: int

    @classmethod
    def read(cls, directory: Path) -> Self:
        """Read a model directory's `config.json`.

        Raises:
            OSError, ValueError, KeyError: it is missing, damaged or incomplete.
        """
        content = json.loads((directory / CONFIG_NAME).read_text(encoding="utf-8"))
        return cls(**{field.name: content[field.name] for field in fields(cls)})


class Weights:
    """The tensors of a checkpoint under a common prefix, as float32."""

    def __init__(self, tensors: Mapping[str, Tensor], prefix: str = "") -> None:
        self._tensors, self._prefix = tensors, prefix

    def __getitem__(self, name: str) -> Tensor:
        return self._tensors[self._prefix + name].float()

    def under(self, name: str) -> Weights:
        """Return the tensors below `name`."""
        return Weights(self._tensors, f"{self._prefix}{name}.")

    def linear(self, names: str, precision: Precision, activation: Activation = "none") -> Linear:
        """Return one packed layer of the named linear layers' outputs side by side."""
        parts = names.split()
        weight = torch.cat([self[f"{name}.weight"] for name in parts])
        bias = torch.cat([self[f"{name}.bias"] for name in parts])
        return pack_linear(weight, bias, precision, activation)

    def norm(self, name: str, dtype: torch.dtype) -> Linear:
        """Return a LayerNorm (epsilon 1e-5, as torch's)."""
        weight, bias = self[f"{name}.weight"].to(dtype), self[f"{name}.bias"].to(dtype)
        shape = list(weight.shape)
        return lambda hidden: F.layer_norm(hidden, shape, weight, bias)


def load_trunk(backbone: str, tensors: Mapping[str, Tensor]) -> torch.nn.Module:
    """Return the backbone with its weights of a checkpoint, in evaluation mode.

    Raises:
        RuntimeError, ValueError: tensors are missing or of other shapes, or there is no such
            backbone.
    """
    prefix = "trunk."
    with torch.device("meta"):  # no time spent on weights that are replaced at once
        trunk = build_backbone(backbone)
    own = {
        name.removeprefix(prefix): tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
    trunk.load_state_dict(own, assign=True)
    return trunk.eval()
