"""What a search asks of a decoder, how it is to search, and what it finds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from torch import Tensor


class State(Protocol):
    """A decoder's caches; rows are grouped by picture, R rows each."""

    def select(self, rows: Tensor, pictures: Tensor | None = None) -> None:
        """Make row i the former row `rows[i]`; keep only `pictures` if given."""


S = TypeVar("S", bound=State)
S_contra = TypeVar("S_contra", bound=State, contravariant=True)


class Step(Protocol[S_contra]):
    """Feeds one token a row (int64 `[N]`) and returns the next token's logits `[N, V]`."""

    def __call__(self, tokens: Tensor, state: S_contra, /) -> Tensor:
        """Advance `state` by one token a row."""


@dataclass(frozen=True)
class SearchSettings:
    """Settings of one decode.

    Attributes:
        bos_id: token that starts every caption.
        eos_id: token that ends it.
        max_tokens: longest caption in tokens, the end token included.
        num_return: captions returned per picture.
        num_beams: beams per picture; 1 is greedy.
        length_penalty: hypotheses rank by `sum of log-probabilities / tokens ** length_penalty`.
        temperature: divides the logits before sampling.
        top_p: nucleus of the sampling distribution.
        no_repeat_ngram: no n-gram of this size occurs twice in a caption; 0 allows all.
    """

    bos_id: int
    eos_id: int
    max_tokens: int
    num_return: int = 1
    num_beams: int = 1
    length_penalty: float = 1.0
    temperature: float = 1.0
    top_p: float = 1.0
    no_repeat_ngram: int = 0

    def greedy(self) -> SearchSettings:
        """Return the same settings for one greedy caption a picture."""
        return replace(self, num_return=1, num_beams=1)


@dataclass(frozen=True)
class Hypothesis:
    """A finished caption.

    Attributes:
        tokens: without the start token; ends with the end token unless it was cut at `max_tokens`.
        log_prob: sum of the tokens' log-probabilities (of the model, before any temperature and
            whatever was forbidden).
        score: what the search ranked by.
    """

    tokens: tuple[int, ...]
    log_prob: float
    score: float
