"""transformers networks as decoders of `models.decoding`: one step a token, caches by row.

The search is ours, not `generate()`: every method then counts log-probabilities alike, and a
picture's sampled captions do not depend on what else is in its batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import Cache, EncoderDecoderCache


@dataclass(frozen=True)
class Prefill:
    """What a network reads before it writes the first token.

    Attributes:
        inputs: arguments of the first forward pass; tensors have one row a picture.
        every_step: tensors that every later pass needs too, one row a picture.
        length: tokens of the text so far, the image's placeholders and padding included.
        padding: how many tokens at the beginning of each row are none, int64 `[B]`; None where
            every row is full.
    """

    inputs: dict[str, Any]
    every_step: dict[str, Tensor]
    length: int
    padding: Tensor | None = None


@dataclass
class NetworkState:
    """Caches of a decode in progress. Rows are beams or samples, grouped by picture.

    Attributes:
        prefill: inputs of the first pass; None once it has run.
        every_step: see `Prefill`; one entry a row.
        rows: rows now.
        position: tokens of the text fed so far, by row; the same for all.
        cache: keys and values of the tokens fed so far; None before the first pass.
        padding: see `Prefill`; one entry a row.
    """

    prefill: Prefill | None
    rows: int
    every_step: dict[str, Tensor] = field(default_factory=dict)
    position: int = 0
    cache: Cache | None = None
    padding: Tensor | None = None

    @classmethod
    def start(cls, prefill: Prefill, pictures: int) -> NetworkState:
        """Return the state before the first pass, one row a picture."""
        every_step = dict(prefill.every_step)
        return cls(prefill, pictures, every_step, padding=prefill.padding)

    def select(self, rows: Tensor, pictures: Tensor | None = None) -> None:
        """Make row i the former row `rows[i]`; keep only `pictures` if given."""
        # Beams that swap places swap what they wrote, not the picture they look at.
        same_pictures = pictures is None and len(rows) == self.rows
        self.rows = len(rows)
        if isinstance(self.cache, EncoderDecoderCache):
            self.cache.self_attention_cache.batch_select_indices(rows)
            if not same_pictures:
                self.cache.cross_attention_cache.batch_select_indices(rows)
        elif self.cache is not None:
            self.cache.batch_select_indices(rows)
        if not same_pictures:
            if self.padding is not None:
                self.padding = self.padding.index_select(0, rows)
            self.every_step = {
                name: value.index_select(0, rows) for name, value in self.every_step.items()
            }


@dataclass(frozen=True)
class NetworkStep:
    """A `models.decoding.protocol.Step` over a transformers network.

    Attributes:
        network: called with `past_key_values` and `use_cache`; its output has `logits`
            `[N, T, V]` and `past_key_values`.
        next_inputs: from the last tokens, int64 `[N, 1]`, and their position to the arguments of a
            pass that are neither cache nor `every_step`.
        end_ids: tokens that end a caption. To end is one event: the first id gets the probability
            of them all.
    """

    network: Callable[..., Any]
    next_inputs: Callable[[Tensor, int], dict[str, Any]]
    end_ids: Sequence[int]

    def __call__(self, tokens: Tensor, state: NetworkState) -> Tensor:
        """Feed `tokens`, int64 `[N]`; return the next token's logits, float32 `[N, V]`.

        The very first call runs the prompt in their place: it ends with what starts a caption.
        """
        if state.prefill is not None:
            inputs, state.position = state.prefill.inputs, state.prefill.length
            state.prefill = None
            new = state.position
        else:
            new = 1
            inputs = {**self.next_inputs(tokens[:, None], state.position), **state.every_step}
            state.position += 1
        if state.padding is not None:
            inputs = {**inputs, **_placed(state.padding, state.position, new)}
        output = self.network(
            **inputs, past_key_values=state.cache, use_cache=True, logits_to_keep=1
        )
        state.cache = output.past_key_values
        return merge_ends(output.logits[:, -1].float(), self.end_ids)


def _placed(padding: Tensor, length: int, new: int) -> dict[str, Tensor]:
    """Return the arguments that say which tokens are padding and where the others stand.

    Args:
        padding: tokens of each row that are none, int64 `[N]`.
        length: tokens of a row, padding and new ones included.
        new: how many of them are fed now.
    """
    columns = torch.arange(length, device=padding.device)
    places = columns[None] - padding[:, None]  # [N, length]
    return {
        "attention_mask": (places >= 0).long(),
        "position_ids": places[:, -new:].clamp(min=0),
    }


def merge_ends(logits: Tensor, end_ids: Sequence[int]) -> Tensor:
    """Return logits `[..., V]` in which the first of `end_ids` stands for all of them."""
    if len(end_ids) == 1:
        return logits
    ends = torch.tensor(list(end_ids), device=logits.device)
    merged = logits.index_fill(-1, ends, float("-inf"))
    merged[..., end_ids[0]] = logits.index_select(-1, ends).logsumexp(-1)
    return merged
