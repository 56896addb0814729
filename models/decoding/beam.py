"""Batched beam search over any decoder with a key/value cache.

The scores and stopping rule are those of transformers' `generate()` (beam search with
`early_stopping=False`), so that both give the same tokens. Pictures whose search has ended leave
the batch; the first step runs once per picture, not once per beam.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic

import torch
from torch import Tensor

from models.decoding.constraints import forbid_repeats
from models.decoding.protocol import Hypothesis, S, SearchSettings, Step


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
        log_probs = forbid_repeats(log_probs, search.tokens, settings)
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
