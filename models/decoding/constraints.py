"""What a search must not write."""

from __future__ import annotations

from torch import Tensor

from models.decoding.protocol import SearchSettings


def forbid_repeats(log_probs: Tensor, tokens: Tensor, settings: SearchSettings) -> Tensor:
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
