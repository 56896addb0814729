"""Batched ancestral (nucleus) sampling over any decoder with a key/value cache."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.decoding.constraints import repeats
from models.decoding.protocol import Floats, Hypothesis, S, SearchSettings, Step, Tokens


def sample(
    step: Step[S],
    state: S,
    batch: int,
    settings: SearchSettings,
    seeds: Sequence[int],
) -> list[list[Hypothesis]]:
    """Draw `num_return` captions per picture by ancestral (nucleus) sampling.

    Every picture draws from a generator of its own, so that its captions do not depend on what else
    is in the batch.

    Args:
        step, state, batch: as in `beam_search`.
        settings: `num_beams` and `length_penalty` are not used.
        seeds: one per picture.

    Returns:
        Per picture `num_return` hypotheses, the likeliest first; repeats are possible.
    """
    draws = settings.num_return
    generators = [_Uniform(seed) for seed in seeds]
    log_probs = step(np.full(batch, settings.bos_id, np.int64), state).log_probs()
    rows = np.arange(batch).repeat(draws)
    state.select(rows)
    log_probs = log_probs[rows]  # [B * R, V]
    every = np.arange(batch * draws)
    total = np.zeros(batch * draws, np.float32)
    alive = np.ones(batch * draws, bool)
    sequences = np.empty((batch * draws, 0), np.int64)
    for length in range(1, settings.max_tokens + 1):
        allowed = log_probs / np.float32(settings.temperature)
        forbidden = repeats(sequences, settings)
        if forbidden is not None:
            allowed[forbidden] = -np.inf
        probabilities = _nucleus(_softmax(allowed), settings.top_p)
        uniform = np.concatenate([generator.draw(draws) for generator in generators])
        token = _draw(probabilities, uniform)
        # The model's own, as in beam search: what is not drawn from keeps its share.
        total = np.where(alive, total + log_probs[every, token], total)
        token = np.where(alive, token, settings.eos_id)
        sequences = np.concatenate((sequences, token[:, None]), 1)
        alive = alive & (token != settings.eos_id)
        if length == settings.max_tokens or not alive.any():
            break
        log_probs = step(token, state).log_probs()
    return _sampled(sequences.tolist(), total.tolist(), draws, settings)


class _Uniform:
    """The numbers of torch's generator for the processor: a seed keeps its captions without torch.

    Args:
        seed: at least 0; of more than 32 bits the lowest count.
    """

    def __init__(self, seed: int) -> None:
        self._twister = np.random.RandomState(seed & 0xFFFFFFFF)

    def draw(self, count: int) -> Floats:
        """Return float32 `[count]` in 0..1, 1 excluded, as `torch.rand` would."""
        words = self._twister.randint(0, 1 << 32, count, np.uint32)
        return ((words & 0xFFFFFF) * np.float32(2**-24)).astype(np.float32)


def _softmax(scores: Floats) -> Floats:
    """Return probabilities `[N, V]`."""
    scores = np.exp(scores - scores.max(-1, keepdims=True))
    out: Floats = scores / scores.sum(-1, keepdims=True)
    return out


def _nucleus(probabilities: Floats, top_p: float) -> Floats:
    """Zero all but the likeliest tokens that together reach `top_p`; `[N, V]` in and out."""
    if top_p >= 1.0:
        return probabilities
    order = (-probabilities).argsort(-1, kind="stable")
    ordered = np.take_along_axis(probabilities, order, -1)
    before = ordered.cumsum(-1) - ordered
    ordered[before >= top_p] = 0.0
    out = np.empty_like(probabilities)
    np.put_along_axis(out, order, ordered, -1)
    return out


def _draw(weights: Floats, uniform: Floats) -> Tokens:
    """Draw one index a row by inverting the cumulative distribution of `weights` `[N, V]`."""
    cumulative = weights.cumsum(-1, dtype=np.float64)
    target = uniform.astype(np.float64) * cumulative[:, -1]
    index = np.array(
        [row.searchsorted(value, "right") for row, value in zip(cumulative, target, strict=True)]
    )
    # A target at the very end would fall on a trailing token of weight zero.
    positive: NDArray[np.bool_] = weights > 0
    last = weights.shape[-1] - 1 - positive[:, ::-1].argmax(-1)
    return np.minimum(index, last)


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
