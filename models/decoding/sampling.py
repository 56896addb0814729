"""Batched ancestral (nucleus) sampling over any decoder with a key/value cache."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from models.decoding.constraints import forbid_repeats
from models.decoding.protocol import Hypothesis, S, SearchSettings, Step


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
        allowed = forbid_repeats(logits, sequences, settings)
        probabilities = _nucleus((allowed / settings.temperature).softmax(-1), settings.top_p)
        uniform = torch.stack([torch.rand(draws, generator=g) for g in generators])
        token = _draw(probabilities, uniform.flatten().to(device))
        # The model's own, as in beam search: what is not drawn from keeps its share.
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
