"""What a network must offer to be decoded, served and trained: encode once, then step by step.

No transformers here: an engine that serves `compact` starts without it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from models.layers.attention import KeyValue, gather_rows

IGNORED = -100
"""Label of positions that do not count in the loss."""


@dataclass
class DecodeState:
    """Key/value caches of a decode in progress. Rows are beams or samples, grouped by picture.

    Attributes:
        cross: per layer, the pictures' keys and values `[B, heads, S, head_dim]`.
        own: per layer, the rows' self-attention cache `[N, heads, T_max, head_dim]`, N = B * R.
        position: number of tokens already fed.
    """

    cross: list[KeyValue]
    own: list[KeyValue]
    position: int = 0

    def select(self, rows: Tensor, pictures: Tensor | None = None) -> None:
        """Make row i the former row `rows[i]`; keep only `pictures` (int64 indices) if given."""
        self.own = [gather_rows(cache, rows, self.position) for cache in self.own]
        if pictures is not None:
            self.cross = [
                (key.index_select(0, pictures), value.index_select(0, pictures))
                for key, value in self.cross
            ]


class CaptionNetwork(Protocol):
    """An image encoder and an autoregressive decoder that cross-attends to its output.

    Attributes:
        bos_id: token that starts every caption.
        eos_id: token that ends it.
    """

    bos_id: int
    eos_id: int

    @property
    def device(self) -> torch.device:
        """Where it computes, and its inputs have to be: training moves it to a GPU."""

    @property
    def max_tokens(self) -> int:
        """Longest caption in tokens, end token included."""

    def encode(self, pixels: Tensor) -> Tensor:
        """Return the decoder's memory `[B, S, D]` of pictures `uint8 [B, 3, H, W]`."""

    def start(self, memory: Tensor, max_steps: int) -> Any:
        """Begin a decode of at most `max_steps` calls of `step`, one row per picture.

        Returns:
            A `models.decoding.protocol.State` that this network's `step` understands.
        """

    def step(self, tokens: Tensor, state: Any) -> Tensor:
        """Feed int64 `[N]`, advance `state`, return logits `[N, V]` of the next tokens."""

    def decode(self, tokens: Tensor, memory: Tensor) -> Tensor:
        """Return logits `[N, T, V]` for the token after each of `tokens` (teacher forcing).

        Args:
            tokens: int64 `[N, T]`, the start token first; N = B * R rows grouped by picture.
            memory: `[B, S, D]`.
        """

    def word_maps(self, tokens: Tensor, memory: Tensor) -> Tensor:
        """Return where the decoder looked for the token after each of `tokens`.

        Returns:
            `[N, T, rows, columns]` over the picture's grid, the last layer's cross-attention
            averaged over its heads; each map sums to 1.
        """


@runtime_checkable
class TrainableNetwork(CaptionNetwork, Protocol):
    """A `CaptionNetwork` that the training loop can train; also a transformers `PreTrainedModel`.

    Its `forward` takes `input_ids` and `labels`, int64 `[B, C, T]`, `pixels`, `uint8 [B, 3, H, W]`,
    and `label_smoothing`, 0..1, and returns a `models.layers.caption_output.CaptionOutput`.

    Attributes:
        pad_id: fills `input_ids` after a caption's end.
        unknown_id: stands for words outside the vocabulary; `None` where any text has tokens.
    """

    pad_id: int
    unknown_id: int | None

    def parameters(self) -> Iterator[nn.Parameter]:
        """Return all weights."""

    def trunk_parameters(self) -> Iterable[nn.Parameter]:
        """Return the weights of the image trunk, which have a learning rate of their own."""

    def let_trunk_learn(self, learns: bool) -> None:
        """Let the trunk's weights change or fix them. What never learns stays fixed."""

    def compile_trunk(self) -> None:
        """Have the trunk compiled when it first runs; weights and their names stay."""

    def cross_attention(self) -> Iterable[nn.Module]:
        """Return the layers through which the decoder looks at the picture."""
