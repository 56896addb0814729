"""Batched beam search and sampling over any decoder with a key/value cache.

The scores and stopping rule are those of transformers' `generate()` (beam search with
`early_stopping=False`), so that both give the same tokens. Pictures whose search has ended leave
the batch; the first step runs once per picture, not once per beam.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

import torch
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
        log_prob: sum of the tokens' log-probabilities (of the model, before any temperature).
        score: what the search ranked by.
    """

    tokens: tuple[int, ...]
    log_prob: float
    score: float


@dataclass
class _Search(Generic[S]):
    """Everything one beam search carries from step to step; B is the pictures still searched."""

    tokens: Tensor  # [B, K, t] without the start token
    scores: Tensor  # [B, K]
    pictures: Tensor  # [B] index into the original batch


@torch.inference_mode()
def beam_search(
    step: Step[S], state: S, batch: int, settings: SearchSettings, device: torch.device
) -> list[list[Hypothesis]]:
    """Beam search (greedy at one beam) over a batch of pictures.

    Args:
        step: the decoder.
        state: its state, one row per picture.
        batch: number of pictures B >= 1.
        settings: `temperature` and `top_p` are not used.
        device: where `step` wants its tokens.

    Returns:
        Per picture `num_return` hypotheses, best first; fewer only if the vocabulary is so small
        that fewer exist.

    Raises:
        ValueError: `num_return` exceeds `num_beams`.
    """
    beams = settings.num_beams
    if settings.num_return > beams:
        raise ValueError(f"num_return {settings.num_return} exceeds num_beams {beams}")
    finished: list[list[Hypothesis]] = [[] for _ in range(batch)]
    start = torch.full((batch,), settings.bos_id, dtype=torch.int64, device=device)
    log_probs = step(start, state).float().log_softmax(-1)  # [B, V]
    search = _Search[S](
        tokens=start.new_empty((batch, 1, 0)),
        scores=torch.zeros((batch, 1), device=device),
        pictures=torch.arange(batch, device=device),
    )
    for length in range(1, settings.max_tokens + 1):
        pictures, rows = search.scores.shape
        vocabulary = log_probs.shape[-1]
        log_probs = _forbid_repeats(log_probs, search.tokens, settings)
        totals = search.scores[:, :, None] + log_probs.view(pictures, rows, vocabulary)
        # Twice the beams: even if each of the best K ends, K are left to go on.
        width = min(2 * beams, rows * vocabulary)
        best, flat = totals.view(pictures, -1).topk(width, dim=-1)  # [B, 2K]
        from_beam, token = flat // vocabulary, flat % vocabulary
        sequences = torch.cat(
            (
                search.tokens.gather(1, from_beam[:, :, None].expand(-1, -1, length - 1)),
                token[:, :, None],
            ),
            -1,
        )  # [B, 2K, t]
        ends = token == settings.eos_id
        last = length == settings.max_tokens
        closing = (ends | last) & (best > float("-inf"))
        # Only the best K candidates may end; a worse one that ends is dropped.
        closing[:, beams:] = False
        _collect(finished, search.pictures, sequences, best, closing, length, settings)
        if last:
            break
        going = best.masked_fill(ends, float("-inf"))
        scores, order = going.topk(min(beams, width), dim=-1)  # [B, K]
        keep = _unfinished(finished, search.pictures, scores[:, 0], length, settings)
        if not len(keep):
            break
        order, scores = order[keep], scores[keep]
        from_beam, token = from_beam[keep].gather(1, order), token[keep].gather(1, order)
        sequences = sequences[keep].gather(1, order[:, :, None].expand(-1, -1, length))
        if rows > 1 or beams > 1 or len(keep) < pictures:  # else everything stays where it is
            state.select(
                (keep[:, None] * rows + from_beam).flatten(),
                keep if len(keep) < pictures else None,
            )
        search = _Search[S](sequences, scores, search.pictures[keep])
        log_probs = step(token.flatten(), state).float().log_softmax(-1)
    return [hypotheses[: settings.num_return] for hypotheses in finished]


def _forbid_repeats(log_probs: Tensor, tokens: Tensor, settings: SearchSettings) -> Tensor:
    """Set to -inf every token that would repeat an n-gram of its row; `[N, V]` in and out."""
    size, length = settings.no_repeat_ngram, tokens.shape[-1]
    if size <= 0 or length < size:
        return log_probs
    rows = tokens.reshape(-1, length)  # [N, t]
    grams = rows.unfold(1, size, 1)  # [N, t - size + 1, size]
    tail = rows[:, None, length - size + 1 :]  # [N, 1, size - 1]
    seen = (grams[:, :, :-1] == tail).all(-1)  # [N, t - size + 1]
    row, position = seen.nonzero(as_tuple=True)
    log_probs = log_probs.clone()
    log_probs[row, grams[row, position, -1]] = float("-inf")
    return log_probs


def _collect(
    finished: list[list[Hypothesis]],
    pictures: Tensor,
    sequences: Tensor,
    log_probs: Tensor,
    closing: Tensor,
    length: int,
    settings: SearchSettings,
) -> None:
    """Add candidates that end to their picture's best K hypotheses."""
    touched = set()
    normaliser = length**settings.length_penalty
    rows = closing.nonzero().tolist()
    owners, values = pictures.tolist(), log_probs.tolist()
    for row, column in rows:
        log_prob = values[row][column]
        tokens = tuple(sequences[row, column].tolist())
        finished[owners[row]].append(Hypothesis(tokens, log_prob, log_prob / normaliser))
        touched.add(owners[row])
    for owner in touched:
        finished[owner].sort(key=lambda hypothesis: -hypothesis.score)
        del finished[owner][settings.num_beams :]


def _unfinished(
    finished: Sequence[Sequence[Hypothesis]],
    pictures: Tensor,
    best_running: Tensor,
    length: int,
    settings: SearchSettings,
) -> Tensor:
    """Return indices (int64) of pictures whose running beams could still improve the result."""
    keep = []
    normaliser = length**settings.length_penalty
    for row, (owner, running) in enumerate(
        zip(pictures.tolist(), best_running.tolist(), strict=True)
    ):
        if running == float("-inf"):
            continue
        done = finished[owner]
        # The same heuristic as transformers': what the best beam would score if it ended now.
        if len(done) < settings.num_beams or running / normaliser > done[-1].score:
            keep.append(row)
    return torch.tensor(keep, dtype=torch.int64, device=pictures.device)


@torch.inference_mode()
def sample(
    step: Step[S],
    state: S,
    batch: int,
    settings: SearchSettings,
    device: torch.device,
    seeds: Sequence[int],
) -> list[list[Hypothesis]]:
    """Draw `num_return` captions per picture by ancestral (nucleus) sampling.

    Every picture draws from a generator of its own, so that its captions do not depend on what else
    is in the batch.

    Args:
        step, state, batch, device: as in `beam_search`.
        settings: `num_beams` and `length_penalty` are not used.
        seeds: one per picture.

    Returns:
        Per picture `num_return` hypotheses, the likeliest first; repeats are possible.
    """
    draws = settings.num_return
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    tokens = torch.full((batch,), settings.bos_id, dtype=torch.int64, device=device)
    logits = step(tokens, state).float()
    rows = torch.arange(batch, device=device).repeat_interleave(draws)
    state.select(rows)
    logits = logits[rows]  # [B * R, V]
    total = torch.zeros(batch * draws, device=device)
    alive = torch.ones(batch * draws, dtype=torch.bool, device=device)
    sequences = tokens.new_empty((batch * draws, 0))
    for length in range(1, settings.max_tokens + 1):
        logits = _forbid_repeats(logits, sequences, settings)
        probabilities = _nucleus((logits / settings.temperature).softmax(-1), settings.top_p)
        uniform = torch.stack([torch.rand(draws, generator=g) for g in generators])
        token = _draw(probabilities, uniform.flatten().to(device))
        token_log_prob = logits.log_softmax(-1).gather(1, token[:, None])[:, 0]
        total = torch.where(alive, total + token_log_prob, total)
        token = torch.where(alive, token, settings.eos_id)
        sequences = torch.cat((sequences, token[:, None]), 1)
        alive = alive & (token != settings.eos_id)
        if length == settings.max_tokens or not alive.any():
            break
        logits = step(token, state).float()
    return _sampled(sequences.tolist(), total.tolist(), draws, settings)


def _nucleus(probabilities: Tensor, top_p: float) -> Tensor:
    """Zero all but the likeliest tokens that together reach `top_p`; `[N, V]` in and out."""
    if top_p >= 1.0:
        return probabilities
    ordered, order = probabilities.sort(dim=-1, descending=True)
    before = ordered.cumsum(-1) - ordered
    ordered = ordered.masked_fill(before >= top_p, 0.0)
    return torch.zeros_like(probabilities).scatter(-1, order, ordered)


def _draw(weights: Tensor, uniform: Tensor) -> Tensor:
    """Draw one index a row by inverting the cumulative distribution of `weights` `[N, V]`."""
    cumulative = weights.double().cumsum(-1)
    target = uniform.double()[:, None] * cumulative[:, -1:]
    index = torch.searchsorted(cumulative, target, right=True)[:, 0]
    # A target at the very end would fall on a trailing token of weight zero.
    positive = (weights > 0).int()
    last = weights.shape[-1] - 1 - positive.flip(-1).argmax(-1)
    return torch.minimum(index, last)


def _sampled(
    sequences: list[list[int]], totals: list[float], draws: int, settings: SearchSettings
) -> list[list[Hypothesis]]:
    out: list[list[Hypothesis]] = []
    for first in range(0, len(sequences), draws):
        group = []
        for row in range(first, first + draws):
            tokens = sequences[row]
            if settings.eos_id in tokens:
                tokens = tokens[: tokens.index(settings.eos_id) + 1]
            group.append(Hypothesis(tuple(tokens), totals[row], totals[row] / len(tokens)))
        group.sort(key=lambda hypothesis: -hypothesis.log_prob)
        out.append(group)
    return out
