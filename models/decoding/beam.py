"""Batched beam search over any decoder with a key/value cache.

The scores and stopping rule are those of transformers' `generate()` (beam search with
`early_stopping=False`), so that both give the same tokens. Pictures whose search has ended leave
the batch; the first step runs once per picture, not once per beam.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.decoding.constraints import repeats
from models.decoding.protocol import (
    Floats,
    Hypothesis,
    S,
    Scores,
    SearchSettings,
    Step,
    Tokens,
)

_NONE = np.float32(-np.inf)


def beam_search(
    step: Step[S], state: S, batch: int, settings: SearchSettings
) -> list[list[Hypothesis]]:
    """Beam search (greedy at one beam) over a batch of pictures.

    Args:
        step: the decoder.
        state: its state, one row per picture.
        batch: number of pictures B >= 1.
        settings: `temperature` and `top_p` are not used.

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
    found = step(np.full(batch, settings.bos_id, np.int64), state)
    # B is the pictures still searched, K their beams.
    tokens = np.empty((batch, 1, 0), np.int64)  # [B, K, t] without the start token
    scores = np.zeros((batch, 1), np.float32)  # [B, K]
    pictures = np.arange(batch)  # [B] index into the original batch
    for length in range(1, settings.max_tokens + 1):
        count, rows = scores.shape
        best, from_beam, token = _candidates(found, tokens, scores, settings)  # [B, 2K]
        own = np.arange(count)[:, None]
        sequences = np.concatenate((tokens[own, from_beam], token[:, :, None]), -1)  # [B, 2K, t]
        ends = token == settings.eos_id
        last = length == settings.max_tokens
        # Only the best K candidates may end; a worse one that ends is dropped.
        closing = (ends[:, :beams] | last) & (best[:, :beams] > _NONE)
        _collect(finished, pictures, sequences, best, closing, length, settings)
        if last:
            break
        going = np.where(ends, _NONE, best)
        order = (-going).argsort(1, kind="stable")[:, :beams]  # [B, K]
        scores = going[own, order]
        keep = _unfinished(finished, pictures, scores[:, 0], length, settings)
        if not len(keep):
            break
        gone = len(keep) < count
        if gone:
            order, scores, pictures = order[keep], scores[keep], pictures[keep]
            own = keep[:, None]
        tokens, from_beam, token = sequences[own, order], from_beam[own, order], token[own, order]
        if rows > 1 or beams > 1 or gone:  # else everything stays where it is
            state.select((own * rows + from_beam).ravel(), keep if gone else None)
        found = step(token.ravel(), state)
    return [hypotheses[: settings.num_return] for hypotheses in finished]


def _candidates(
    found: Scores, tokens: Tokens, scores: Floats, settings: SearchSettings
) -> tuple[Floats, Tokens, Tokens]:
    """Return how every picture may go on, best first.

    Args:
        found: of the rows' next tokens.
        tokens: `[B, K, t]`, what the rows have written.
        scores: `[B, K]`, theirs so far.
        settings: the search's.

    Returns:
        Scores, beams 0..K-1 and tokens, `[B, C]` each: twice as many as beams are wanted, so that
        even if each of the best ends, enough are left to go on.
    """
    pictures, rows = scores.shape
    width = 2 * settings.num_beams
    forbidden = repeats(tokens.reshape(pictures * rows, -1), settings)
    if forbidden is None:
        values, ids = found.best(width)
    else:
        # As many more as the row with most to forbid may lose.
        row, token = forbidden
        values, ids = found.best(width + int(np.bincount(row).max()))
        where, place = (ids[row] == token[:, None]).nonzero()
        values = values.copy()
        values[row[where], place] = _NONE
    totals = (scores.reshape(-1, 1) + values).reshape(pictures, -1)  # [B, K * C]
    flat = (-totals).argsort(1, kind="stable")[:, :width]
    own = np.arange(pictures)[:, None]
    return totals[own, flat], flat // values.shape[1], ids.reshape(pictures, -1)[own, flat]


def _collect(
    finished: list[list[Hypothesis]],
    pictures: Tokens,
    sequences: Tokens,
    log_probs: Floats,
    closing: NDArray[np.bool_],
    length: int,
    settings: SearchSettings,
) -> None:
    """Add candidates that end to their picture's best K hypotheses."""
    touched = set()
    normaliser = length**settings.length_penalty
    for row, column in zip(*closing.nonzero(), strict=True):
        log_prob = float(log_probs[row, column])
        owner = int(pictures[row])
        tokens = tuple(sequences[row, column].tolist())
        finished[owner].append(Hypothesis(tokens, log_prob, log_prob / normaliser))
        touched.add(owner)
    for owner in touched:
        finished[owner].sort(key=lambda hypothesis: -hypothesis.score)
        del finished[owner][settings.num_beams :]


def _unfinished(
    finished: Sequence[Sequence[Hypothesis]],
    pictures: Tokens,
    best_running: Floats,
    length: int,
    settings: SearchSettings,
) -> Tokens:
    """Return indices of pictures whose running beams could still improve the result."""
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
    return np.array(keep, np.int64)
