"""GPT-2 with cross-attention, step by step, over the weights of transformers' `GPT2LMHeadModel`.

The library's own decoding copies the picture's keys and values once per beam and computes logits
for every position. Here they are made once per picture, rows of one picture are extra query
positions (`models.layers.attention`), and only the last position's logits are computed.
"""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import GPT2LMHeadModel

from models.layers.attention import KeyValue, kept, look, write_cache
from models.layers.network_protocol import DecodeState


class Gpt2Decoder:
    """Runs a `GPT2LMHeadModel`; holds no weights of its own.

    Args:
        model: with `add_cross_attention`. Its dropout applies while it is in training mode.

    Attributes:
        narrow: keep the pictures' keys and values in bfloat16, see `models.layers.attention.kept`.
    """

    narrow = False

    def __init__(self, model: GPT2LMHeadModel) -> None:
        self.model = model
        self.heads = int(model.config.num_attention_heads)
        self.head_dim = int(model.config.hidden_size) // self.heads

    @property
    def max_positions(self) -> int:
        """Length of the position table."""
        return int(self.model.config.max_position_embeddings)

    def decode(self, tokens: Tensor, memory: Tensor, maps: list[Tensor] | None = None) -> Tensor:
        """Return logits `[N, T, V]` for the token after each position.

        Args:
            tokens: int64 `[N, T]`; N = B * R rows grouped by picture.
            memory: `[B, S, D]`.
            maps: collects each layer's cross-attention weights `[N, T, S]`, averaged over heads.
        """
        hidden = self._embed(tokens, 0)
        for block, cross in zip(self.blocks(), self._cross(memory), strict=True):
            hidden = self._block(block, hidden, cross, None, 0, maps)
        return self._logits(hidden)

    def start(self, memory: Tensor, max_steps: int) -> DecodeState:
        """Begin a decode with one row per picture of memory `[B, S, D]`.

        Raises:
            ValueError: `max_steps` exceeds the position table.
        """
        if max_steps > self.max_positions:
            raise ValueError(f"max_steps must be at most {self.max_positions}, got {max_steps}")
        cross = self._cross(memory)
        shape = (len(memory), self.heads, max_steps, self.head_dim)
        own = [(key.new_empty(shape), key.new_empty(shape)) for key, _ in cross]
        return DecodeState(cross=cross, own=own)

    def step(self, tokens: Tensor, state: DecodeState) -> Tensor:
        """Feed one token a row, int64 `[N]`; advance `state`; return the next logits `[N, V]`."""
        hidden = self._embed(tokens[:, None], state.position)  # [N, 1, D]
        for block, cross, own in zip(self.blocks(), state.cross, state.own, strict=True):
            hidden = self._block(block, hidden, cross, own, state.position, None)
        state.position += 1
        return self._logits(hidden[:, 0])

    # The library's modules are typed as plain `Module`s.

    def blocks(self) -> list[Any]:
        """Return the layers, first to last."""
        return list(cast(Any, self.model.transformer).h)

    def _embed(self, tokens: Tensor, first: int) -> Tensor:
        transformer: Any = self.model.transformer
        positions = torch.arange(first, first + tokens.shape[1], device=tokens.device)
        return cast(Tensor, transformer.drop(transformer.wte(tokens) + transformer.wpe(positions)))

    def _logits(self, hidden: Tensor) -> Tensor:
        transformer: Any = self.model.transformer
        return cast(Tensor, self.model.lm_head(transformer.ln_f(hidden)))

    def _cross(self, memory: Tensor) -> list[KeyValue]:
        """Return each layer's keys and values of the pictures, `[B, heads, S, head_dim]`."""
        out = []
        for block in self.blocks():
            key, value = block.crossattention.c_attn(memory).chunk(2, dim=-1)
            out.append((self._kept(key, len(memory)), self._kept(value, len(memory))))
        return out

    def _kept(self, projected: Tensor, rows: int) -> Tensor:
        split = self._split(projected, rows)
        return kept(split, self.narrow)

    def _split(self, projected: Tensor, rows: int) -> Tensor:
        """Return `[rows, heads, length, head_dim]` of `[N, T, D]`; N * T = rows * length."""
        return projected.view(rows, -1, self.heads, self.head_dim).transpose(1, 2)

    def _block(
        self,
        block: Any,
        hidden: Tensor,
        cross: KeyValue,
        own: KeyValue | None,
        position: int,
        maps: list[Tensor] | None,
    ) -> Tensor:
        """Run one layer on `hidden` `[N, T, D]`, T = 1 with the cache `own`."""
        rows = len(hidden)
        query, key, value = block.attn.c_attn(block.ln_1(hidden)).chunk(3, dim=-1)
        new = self._split(key, rows), self._split(value, rows)
        seen = new if own is None else write_cache(own, new, position)
        query = self._split(query, rows)
        hidden = hidden + self._attend(block.attn, query, seen, hidden.shape, causal=own is None)
        # All rows of a picture query its keys at once: [B, heads, R * T, head_dim].
        query = self._split(block.crossattention.q_attn(block.ln_cross_attn(hidden)), len(cross[0]))
        if maps is not None:
            seen_keys = cross[0].to(query.dtype)
            scores = query @ seen_keys.transpose(-1, -2) * block.crossattention.scaling
            weights = scores.float().softmax(-1).mean(1)  # [B, R * T, S]
            maps.append(weights.reshape(*hidden.shape[:2], -1))
        hidden = hidden + self._attend(block.crossattention, query, cross, hidden.shape)
        return cast(Tensor, hidden + block.mlp(block.ln_2(hidden)))

    def _attend(
        self, attention: Any, query: Tensor, seen: KeyValue, shape: torch.Size, causal: bool = False
    ) -> Tensor:
        """Return the attention layer's output as `shape`, `[N, T, D]`."""
        if attention.training or causal:
            mixed = F.scaled_dot_product_attention(
                query,
                *seen,
                dropout_p=attention.attn_dropout.p if attention.training else 0.0,
                is_causal=causal,
                scale=attention.scaling,
            )
        else:
            mixed = look(query, *seen, attention.scaling)
        mixed = mixed.transpose(1, 2).reshape(shape)
        return cast(Tensor, attention.resid_dropout(attention.c_proj(mixed)))
