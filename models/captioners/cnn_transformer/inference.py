"""The network of `cnn_transformer.network` for inference: the same function, packed and fused.

Queries, keys and values of a layer come from one product, a decode's caches lie in one tensor, and
activations and residual sums are part of the kernels before them. In float32 its captions are those
of the network that was trained; a test compares them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

from models.api.device import CPU, Device, Precision
from models.backbones import find_backbone
from models.captioners.cnn_transformer.checkpoint import WEIGHTS_NAME, Sizes, Weights, load_trunk
from models.captioners.cnn_transformer.tokenizer import BOS_ID, EOS_ID, NUM_NEVER_PRODUCED
from models.layers.attention import KeyValue, kept, look
from models.runtimes.processor import is_narrow
from models.runtimes.torch.packed_backbones import pack_trunk
from models.runtimes.torch.packing import Activation, Linear, pack_linear

_ACTIVATIONS: dict[str, Activation] = {"linear": "none", "relu": "relu"}


class _Layer:
    """`cnn_transformer.network.Layer`; a decoder layer where its weights have cross-attention."""

    def __init__(
        self, weights: Weights, sizes: Sizes, decoder: bool, precision: Precision, dtype: Any
    ) -> None:
        self.decoder, self._pre_norm = decoder, sizes.pre_norm
        self._heads = sizes.decoder_heads if decoder else sizes.encoder_heads
        self._head_dim = sizes.head_dim if decoder else sizes.d_model // self._heads
        self._narrow = is_narrow(precision)
        own = weights.under("self_attention")
        self._own_qkv = own.linear("query key_value", precision)
        self._own_out = own.linear("out", precision)
        self._own_norm = weights.norm("self_norm", dtype)
        if decoder:
            cross = weights.under("cross_attention")
            self._cross_query = cross.linear("query", precision)
            self._cross_key_value = cross.linear("key_value", precision)
            self._cross_out = cross.linear("out", precision)
            self._cross_norm = weights.norm("cross_norm", dtype)
        activation: Activation = "gelu" if sizes.pre_norm else "relu"
        self._ffn_in = weights.linear("ffn.0", precision, activation)
        self._ffn_out = weights.linear("ffn.2", precision)
        self._ffn_norm = weights.norm("ffn_norm", dtype)

    def keys_values(self, memory: Tensor) -> KeyValue:
        """Return cross-attention keys and values `[B, heads, S, head_dim]` of `[B, S, D]`."""
        rows, length, _ = memory.shape
        both = self._cross_key_value(memory).view(rows, length, 2, self._heads, self._head_dim)
        key, value = both.permute(2, 0, 3, 1, 4).unbind(0)
        return kept(key, self._narrow), kept(value, self._narrow)

    def __call__(
        self,
        hidden: Tensor,
        cross: KeyValue | None = None,
        cache: Tensor | None = None,
        position: int = 0,
        maps: list[Tensor] | None = None,
    ) -> Tensor:
        """Run the layer.

        Args:
            hidden: `[N, T, D]`; T is 1 when `cache` is given.
            cross: `keys_values` of the pictures, B rows; N = B * R.
            cache: `[T_max, 2, N, heads, head_dim]`, extended at `position`.
            position: 0-based index of the token in `hidden` when `cache` is given.
            maps: collects the cross-attention weights `[N, T, S]`, averaged over heads.
        """
        rows, length, _ = hidden.shape
        normed = self._own_norm(hidden) if self._pre_norm else hidden
        qkv = self._own_qkv(normed).view(rows, length, 3, self._heads, self._head_dim)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # [N, heads, T, head_dim]
        if cache is not None:
            cache[position] = qkv[:, 0, 1:].transpose(0, 1)
            key, value = cache[: position + 1].permute(1, 2, 3, 0, 4).unbind(0)
        mixed = F.scaled_dot_product_attention(
            query, key, value, is_causal=self.decoder and length > 1
        )
        mixed = mixed.transpose(1, 2).reshape(rows, length, -1)
        hidden = self._join(hidden, self._own_out(mixed), self._own_norm)
        if cross is not None:
            hidden = self._look(hidden, cross, maps)
        normed = self._ffn_norm(hidden) if self._pre_norm else hidden
        return self._join(hidden, self._ffn_out(self._ffn_in(normed)), self._ffn_norm)

    def _look(self, hidden: Tensor, cross: KeyValue, maps: list[Tensor] | None) -> Tensor:
        """Attend to the pictures; the rows of one picture are more positions of one query."""
        rows, length, _ = hidden.shape
        key, value = cross
        normed = self._cross_norm(hidden) if self._pre_norm else hidden
        query = self._cross_query(normed).view(len(key), -1, self._heads, self._head_dim)
        query = query.transpose(1, 2)  # [B, heads, R * T, head_dim]
        if maps is not None:
            scores = query @ key.to(query.dtype).transpose(-1, -2) / self._head_dim**0.5
            maps.append(scores.float().softmax(-1).mean(1).reshape(rows, length, -1))
        mixed = look(query, key, value, self._head_dim**-0.5)
        mixed = mixed.transpose(1, 2).reshape(rows, length, -1)
        return self._join(hidden, self._cross_out(mixed), self._cross_norm)

    def _join(self, hidden: Tensor, update: Tensor, norm: Linear) -> Tensor:
        hidden = hidden + update
        return hidden if self._pre_norm else norm(hidden)


@dataclass
class DecodeState:
    """Key/value caches of a decode in progress. Rows are beams or samples, grouped by picture.

    Attributes:
        cross: per layer, the pictures' keys and values `[B, heads, S, head_dim]`.
        own: the rows' self-attention caches `[T_max, layers, 2, N, heads, head_dim]`, N = B * R:
            what is filled comes first, so reordering the beams copies that and no more.
        position: number of tokens already fed.
    """

    cross: list[KeyValue]
    own: Tensor
    position: int = 0

    def select(self, rows: Tensor, pictures: Tensor | None = None) -> None:
        """Make row i the former row `rows[i]`; keep only `pictures` (int64 indices) if given."""
        steps, layers, two, _, heads, width = self.own.shape
        own = self.own.new_empty((steps, layers, two, len(rows), heads, width))
        filled = self.position
        own[:filled] = self.own[:filled].index_select(3, rows)
        self.own = own
        if pictures is not None:
            self.cross = [
                (key.index_select(0, pictures), value.index_select(0, pictures))
                for key, value in self.cross
            ]


class InferenceNetwork:
    """A `CnnTransformer` that captions and does not learn.

    Args:
        sizes: the network's configuration.
        tensors: its state dict, on the device to compute on.
        precision: what to compute in.

    Raises:
        KeyError, RuntimeError: tensors are missing or of other shapes.
    """

    def __init__(
        self, sizes: Sizes, tensors: Mapping[str, Tensor], precision: Precision = "fp32"
    ) -> None:
        weights = Weights(tensors)
        self._sizes, self.precision = sizes, precision
        self.bos_id, self.eos_id = BOS_ID, EOS_ID
        self.vocab_size, self.max_tokens = sizes.vocab_size, sizes.max_positions - 1
        self.grid = find_backbone(sizes.backbone).grid(sizes.image_height, sizes.image_width)
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        self._dtype = dtype
        self._trunk_dtype = torch.bfloat16 if is_narrow(precision) else torch.float32
        self._trunk = pack_trunk(load_trunk(sizes.backbone, tensors), self._trunk_dtype)
        self.device = weights["output_bias"].device
        mean = torch.tensor(sizes.image_mean, device=self.device)
        std = torch.tensor(sizes.image_std, device=self.device)
        self._scale = (1 / (255 * std)).view(3, 1, 1)
        self._offset = (-mean / std).view(3, 1, 1)
        if sizes.project_memory:
            self._projection = weights.linear(
                "memory_projection", precision, _ACTIVATIONS[sizes.memory_activation]
            )
            self._memory_norm = weights.norm("memory_norm", dtype)
            self._memory_positions = weights["memory_positions"].to(dtype)
        self._encoder = [
            _Layer(weights.under(f"encoder.{index}"), sizes, False, precision, dtype)
            for index in range(sizes.encoder_layers)
        ]
        if sizes.encoder_layers and sizes.pre_norm:
            self._encoder_norm = weights.norm("encoder_norm", dtype)
        self._decoder = [
            _Layer(weights.under(f"decoder.{index}"), sizes, True, precision, dtype)
            for index in range(sizes.decoder_layers)
        ]
        if sizes.pre_norm:
            self._decoder_norm = weights.norm("decoder_norm", dtype)
        words = weights["token_embedding.weight"]
        output = words if sizes.tie_embeddings else weights["output_weight"]
        if sizes.scale_embeddings:
            words = words * sizes.d_model**0.5
        self._words = words.to(dtype)
        self._positions = weights["position_embedding.weight"].to(dtype)
        bias = weights["output_bias"].clone()
        # PAD, UNK and START are no words: they are never produced and take no probability.
        bias[:NUM_NEVER_PRODUCED] = float("-inf")
        # bfloat16 has three digits: logits rounded to it would tie, and scores would be coarse.
        self._vocabulary = pack_linear(output, bias, "int8" if precision == "int8" else "fp32")

    @classmethod
    def load(cls, directory: Path, precision: Precision = "fp32", device: Device = CPU) -> Self:
        """Read a model directory's configuration and weights.

        Raises:
            OSError, ValueError, KeyError, RuntimeError, safetensors.SafetensorError: files are
                missing, damaged or do not fit together.
        """
        tensors = load_file(directory / WEIGHTS_NAME)
        placed = {name: tensor.to(device.name) for name, tensor in tensors.items()}
        return cls(Sizes.read(directory), placed, precision)

    # --- encoder -----------------------------------------------------------------------------

    def encode(self, pixels: Tensor) -> Tensor:
        """Return the decoder's memory `[B, S, D]` of pictures `uint8 [B, 3, H, W]`."""
        images = pixels.contiguous(memory_format=torch.channels_last).float()
        images = images.mul_(self._scale).add_(self._offset).to(self._trunk_dtype)
        features = self._trunk(images).flatten(2).transpose(1, 2).to(self._dtype)  # [B, S, C]
        if not self._sizes.project_memory:
            return features
        hidden = self._memory_norm(self._projection(features)) + self._memory_positions
        for layer in self._encoder:
            hidden = layer(hidden)
        if self._encoder and self._sizes.pre_norm:
            hidden = self._encoder_norm(hidden)
        return hidden

    # --- decoder -----------------------------------------------------------------------------

    def start(self, memory: Tensor, max_steps: int) -> DecodeState:
        """Begin a decode with one row per picture.

        Args:
            memory: `[B, S, D]`.
            max_steps: number of times `step` will be called at most.

        Raises:
            ValueError: `max_steps` exceeds the position table.
        """
        sizes = self._sizes
        if max_steps > sizes.max_positions:
            raise ValueError(f"max_steps must be at most {sizes.max_positions}, got {max_steps}")
        shape = (max_steps, len(self._decoder), 2, len(memory), sizes.decoder_heads, sizes.head_dim)
        cross = [layer.keys_values(memory) for layer in self._decoder]
        return DecodeState(cross, memory.new_empty(shape))

    def step(self, tokens: Tensor, state: DecodeState) -> Tensor:
        """Feed one token a row, advance `state` and return logits float32 `[N, V]`.

        Args:
            tokens: int64 `[N]`.
            state: from `start`, possibly after `state.select`.
        """
        position = state.position
        hidden = (self._words[tokens] + self._positions[position])[:, None]  # [N, 1, D]
        for index, layer in enumerate(self._decoder):
            hidden = layer(hidden, state.cross[index], state.own[:, index], position)
        state.position += 1
        return self._logits(hidden[:, 0])

    def decode(self, tokens: Tensor, memory: Tensor, maps: list[Tensor] | None = None) -> Tensor:
        """Return logits float32 `[N, T, V]` for the token after each position (teacher forcing).

        Args:
            tokens: int64 `[N, T]`, the start token first; N = B * R rows grouped by picture.
            memory: `[B, S, D]`.
            maps: collects each layer's cross-attention weights `[N, T, S]`.
        """
        hidden = self._words[tokens] + self._positions[: tokens.shape[1]]
        for layer in self._decoder:
            hidden = layer(hidden, layer.keys_values(memory), maps=maps)
        return self._logits(hidden)

    def word_maps(self, tokens: Tensor, memory: Tensor) -> Tensor:
        """Return where the last layer looked for each next token; see `CaptionNetwork`."""
        maps: list[Tensor] = []
        self.decode(tokens, memory, maps)
        return maps[-1].reshape(*tokens.shape, *self.grid)

    def _logits(self, hidden: Tensor) -> Tensor:
        if self._sizes.pre_norm:
            hidden = self._decoder_norm(hidden)
        return self._vocabulary(hidden.float())
