"""Layers of transformers' ViT, DeiT and GPT-2 packed for inference: fewer, larger products.

Queries, keys and values are one product, and so the input of all three is quantised once; the patch
embedding is a product too; the activation is part of the product before it.
"""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.api.device import Precision
from models.runtimes.torch.packing import Activation, Linear, pack_linear

_ACTIVATIONS: dict[str, Activation] = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
}


def pack_vit(encoder: nn.Module, precision: Precision) -> None:
    """Pack what of an encoder is a ViT's or a DeiT's, in place; leave any other as it is.

    Args:
        encoder: `ViTModel` or `DeiTModel`, float32. Layers whose activation is not known here stay.
        precision: of the products.
    """
    config: Any = encoder.config
    if config.model_type not in ("vit", "deit"):
        return
    embeddings: Any = encoder.get_submodule("embeddings.patch_embeddings")
    embeddings.projection = _Patches(embeddings.projection, precision)
    layers = cast(nn.ModuleList, encoder.get_submodule("layers"))
    activation = _ACTIVATIONS.get(config.hidden_act)
    if activation is not None:
        for index, layer in enumerate(layers):
            layers[index] = _VitLayer(layer, precision, activation)


def pack_gpt2(decoder: nn.Module, precision: Precision) -> None:
    """Pack the feed-forward layers of a `GPT2LMHeadModel`, float32, in place.

    Layers whose activation is not known here stay.
    """
    config: Any = decoder.config
    activation = _ACTIVATIONS.get(config.activation_function)
    if activation is None:
        return
    for block in cast(nn.ModuleList, decoder.get_submodule("transformer.h")):
        mlp: Any = block.mlp
        # transformers' Conv1D keeps its weight the other way round.
        widen, narrow = mlp.c_fc, mlp.c_proj
        block.mlp = _FeedForward(
            pack_linear(widen.weight.T, widen.bias, precision, activation),
            pack_linear(narrow.weight.T, narrow.bias, precision),
        )


class _FeedForward(nn.Module):
    """A product with its activation, and another."""

    def __init__(self, widen: Linear, narrow: Linear) -> None:
        super().__init__()
        self._widen, self._narrow = widen, narrow

    def forward(self, hidden: Tensor) -> Tensor:
        """Map `[..., D]` to `[..., D]`."""
        return self._narrow(self._widen(hidden))


class _Patches(nn.Module):
    """The convolution over patches that do not overlap, as a product."""

    def __init__(self, convolution: nn.Conv2d, precision: Precision) -> None:
        super().__init__()
        self.patch = int(convolution.kernel_size[0])
        # Rounded pixels are a poor start, and this is a hundredth of the work.
        how: Precision = "bf16" if precision == "bf16" else "fp32"
        self._linear = pack_linear(convolution.weight.flatten(1), convolution.bias, how)
        # Tells transformers which dtype to bring pictures to.
        dtype = torch.bfloat16 if how == "bf16" else torch.float32
        tag = torch.empty(0, dtype=dtype, device=convolution.weight.device)
        self.register_buffer("weight", tag, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Map `[B, C, H, W]` to `[B, D, H / patch, W / patch]`."""
        batch, channels, height, width = images.shape
        rows, columns, size = height // self.patch, width // self.patch, self.patch
        patches = images.view(batch, channels, rows, size, columns, size)
        patches = patches.permute(0, 2, 4, 1, 3, 5).reshape(batch, rows * columns, -1)
        return self._linear(patches).transpose(1, 2).unflatten(2, (rows, columns))


class _VitLayer(nn.Module):
    """One layer of a ViT."""

    def __init__(self, layer: Any, precision: Precision, activation: Activation) -> None:
        super().__init__()
        attention, mlp = layer.attention, layer.mlp
        self.before, self.after = layer.layernorm_before, layer.layernorm_after
        self.heads, self.scaling = int(attention.num_attention_heads), float(attention.scaling)
        parts = (attention.q_proj, attention.k_proj, attention.v_proj)
        weight = torch.cat([part.weight for part in parts])
        bias = None if parts[0].bias is None else torch.cat([part.bias for part in parts])
        self._project = pack_linear(weight, bias, precision)
        self._out = pack_linear(attention.o_proj.weight, attention.o_proj.bias, precision)
        self._feed_forward = _FeedForward(
            pack_linear(mlp.fc1.weight, mlp.fc1.bias, precision, activation, many_rows=True),
            pack_linear(mlp.fc2.weight, mlp.fc2.bias, precision),
        )

    def forward(self, hidden: Tensor, *_: object, **__: object) -> Tensor:
        """Map `[B, S, D]` to `[B, S, D]`."""
        batch, length, _width = hidden.shape
        projected = self._project(self.before(hidden)).view(batch, length, 3, self.heads, -1)
        query, key, value = projected.permute(2, 0, 3, 1, 4).unbind(0)  # [B, heads, S, head_dim]
        mixed = F.scaled_dot_product_attention(query, key, value, scale=self.scaling)
        hidden = hidden + self._out(mixed.transpose(1, 2).reshape(batch, length, -1))
        return hidden + cast(Tensor, self._feed_forward(self.after(hidden)))
