"""Attention and feed-forward layers of the caption decoder, with explicit key/value caches.

Keys and values of the picture are computed once per picture. Rows that belong to the same picture
(the beams of a search, the references of a training picture) are extra query positions of one
attention call, so nothing of the picture is copied per row.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

KeyValue = tuple[Tensor, Tensor]
"""Keys and values, `[rows, heads, length, head_dim]` each."""


class Attention(nn.Module):
    """Multi-head attention (Vaswani et al. 2017) whose keys and values may come from elsewhere.

    Args:
        d_model: width of queries and of the output.
        heads: number of heads.
        head_dim: width of one head.
        memory_dim: width of what keys and values are made from; `None` is `d_model`.
        dropout: on the attention weights, in training.
    """

    def __init__(
        self,
        d_model: int,
        heads: int,
        head_dim: int,
        memory_dim: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.heads, self.head_dim, self.dropout = heads, head_dim, dropout
        inner = heads * head_dim
        self.query = nn.Linear(d_model, inner)
        self.key_value = nn.Linear(memory_dim or d_model, 2 * inner)
        self.out = nn.Linear(inner, d_model)

    def keys_values(self, memory: Tensor) -> KeyValue:
        """Return keys and values `[N, heads, S, head_dim]` of memory `[N, S, memory_dim]`."""
        rows, length, _ = memory.shape
        both = self.key_value(memory).view(rows, length, 2, self.heads, self.head_dim)
        key, value = both.permute(2, 0, 3, 1, 4).unbind(0)
        return key, value

    def forward(self, hidden: Tensor, keys_values: KeyValue, causal: bool = False) -> Tensor:
        """Attend from `hidden` to `keys_values`.

        Args:
            hidden: `[N, T, d_model]`; N may be a multiple R of the rows B of `keys_values`: rows
                `b * R .. b * R + R - 1` then all attend to row `b`.
            keys_values: `[B, heads, S, head_dim]` each.
            causal: position t sees keys 0..t only; needs N == B and T == S.

        Returns:
            `[N, T, d_model]`.
        """
        rows, length, _ = hidden.shape
        key, value = keys_values
        query = self._queries(hidden, key.shape[0])  # [B, heads, R * T, head_dim]
        mixed = F.scaled_dot_product_attention(
            query,
            key,
            value,
            dropout_p=self.dropout if self.training else 0.0,
            is_causal=causal,
        )
        mixed = mixed.transpose(1, 2).reshape(rows, length, self.heads * self.head_dim)
        out: Tensor = self.out(mixed)
        return out

    def weights(self, hidden: Tensor, keys_values: KeyValue) -> Tensor:
        """Return attention weights averaged over heads, `[N, T, S]`; shapes as in `forward`."""
        rows, length, _ = hidden.shape
        key = keys_values[0]
        query = self._queries(hidden, len(key))
        scores = query @ key.transpose(-1, -2) / self.head_dim**0.5  # [B, heads, R * T, S]
        weights = scores.float().softmax(-1).mean(1)  # [B, R * T, S]
        return weights.reshape(rows, length, -1)

    def _queries(self, hidden: Tensor, rows: int) -> Tensor:
        query = self.query(hidden).view(rows, -1, self.heads, self.head_dim)
        return query.transpose(1, 2)


_WORTH_NARROWING = 2**17
"""Elements. Below, the keys fit the processor's caches, and the fused kernel is the faster one."""


def kept(memory: Tensor, narrow: bool) -> Tensor:
    """Return keys or values of pictures as they are best kept for a decode, contiguous.

    In bfloat16 they are half as large, and plain products read them faster than the fused kernel,
    which is made for long queries.
    """
    if narrow and memory.numel() >= _WORTH_NARROWING:
        memory = memory.to(torch.bfloat16)
    return memory.contiguous()


def look(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """Attend from a few positions to a picture.

    Reading the pictures' keys and values is what takes the time; see `kept`.

    Args:
        query: `[B, heads, Q, head_dim]`.
        key, value: `[B, heads, S, head_dim]`, of the query's dtype or bfloat16.
        scale: multiplies the scores.

    Returns:
        `[B, heads, Q, head_dim]` in the query's dtype.
    """
    if key.dtype != torch.bfloat16:
        return F.scaled_dot_product_attention(query, key, value, scale=scale)
    scores = (query.to(key.dtype) @ key.transpose(-1, -2)).float() * scale
    return (scores.softmax(-1).to(value.dtype) @ value).to(query.dtype)


class FeedForward(nn.Sequential):
    """Position-wise feed-forward layer, `[..., d_model]` to `[..., d_model]`."""

    def __init__(self, d_model: int, inner: int, gelu: bool) -> None:
        super().__init__(
            nn.Linear(d_model, inner),
            nn.GELU() if gelu else nn.ReLU(),
            nn.Linear(inner, d_model),
        )


def write_cache(cache: KeyValue, new: KeyValue, position: int) -> KeyValue:
    """Store one step's keys and values in a preallocated cache and return the filled part.

    Args:
        cache: `[N, heads, T_max, head_dim]` each, changed in place.
        new: `[N, heads, 1, head_dim]` each.
        position: where to write, 0-based.

    Returns:
        Views `[N, heads, position + 1, head_dim]` of the cache.
    """
    for store, item in zip(cache, new, strict=True):
        store[:, :, position : position + 1] = item
    return cache[0][:, :, : position + 1], cache[1][:, :, : position + 1]


def gather_rows(cache: KeyValue, rows: Tensor, length: int) -> KeyValue:
    """Return a new cache whose row i is `cache`'s row `rows[i]`, first `length` positions filled.

    Args:
        cache: `[N, heads, T_max, head_dim]` each.
        rows: int64 `[M]`, values 0..N-1.
        length: number of positions filled so far; the rest is left unset.
    """
    out = []
    for store in cache:
        fresh = torch.empty((len(rows), *store.shape[1:]), dtype=store.dtype, device=store.device)
        fresh[:, :, :length] = store[:, :, :length].index_select(0, rows)
        out.append(fresh)
    return out[0], out[1]
