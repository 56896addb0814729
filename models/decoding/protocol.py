"""What a search asks of a decoder, how it is to search, and what it finds.

Arrays here are NumPy's, whatever runs the network: `models.runtimes.torch.search` brings torch's
tensors to them, and graphs need no torch at all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.int64]
Floats = NDArray[np.float32]


class State(Protocol):
    """A decoder's caches; rows are grouped by picture, R rows each."""

    def select(self, rows: Tokens, pictures: Tokens | None = None) -> None:
        """Make row i the former row `rows[i]`; keep only `pictures` if given."""


class Scores(Protocol):
    """What a decoder says of the next token of N rows. Good until its next step."""

    def best(self, count: int) -> tuple[Floats, Tokens]:
        """Return each row's likeliest tokens, at most V: log-probabilities and ids, `[N, count]`.

        Best first; the order among equals is the decoder's affair.
        """

    def log_probs(self) -> Floats:
        """Return all log-probabilities, `[N, V]`, of tokens that are never produced -inf."""


S = TypeVar("S", bound=State)
S_contra = TypeVar("S_contra", bound=State, contravariant=True)


class Step(Protocol[S_contra]):
    """Feeds one token a row (int64 `[N]`) and returns the next token's scores."""

    def __call__(self, tokens: Tokens, state: S_contra, /) -> Scores:
        """Advance `state` by one token a row."""


class Decoder(Protocol):
    """A network as captioners decode it, on whatever runs it: encode once, then step by step.

    Attributes:
        bos_id, eos_id: tokens that start and end every caption.
    """

    bos_id: int
    eos_id: int

    @property
    def max_tokens(self) -> int:
        """Longest caption in tokens, end token included."""

    def encode(self, pixels: NDArray[np.uint8]) -> Any:
        """Return what decoding reads of pictures `uint8 [B, 3, H, W]`: B entries, see `start`.

        It has a length, and a list of indices or a slice takes some of its pictures.
        """

    def start(self, memory: Any, max_steps: int) -> Any:
        """Begin a decode of at most `max_steps` calls of `step`, one row per picture.

        Returns:
            A `State` that this decoder's `step` understands.
        """

    def step(self, tokens: Tokens, state: Any, /) -> Scores:
        """Feed one token a row; see `Step`."""

    def word_maps(self, tokens: Tokens, memory: Any) -> Floats:
        """Return where the decoder looked for the token after each of `tokens`.

        Args:
            tokens: `[N, T]`, the start token first; N = B * R rows grouped by picture.
            memory: of `encode`.

        Returns:
            `[N, T, rows, columns]` over the picture's grid, the last layer's cross-attention
            averaged over its heads; each map sums to 1.
        """


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
