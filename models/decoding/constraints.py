"""What a search must not write."""

from __future__ import annotations

import numpy as np

from models.decoding.protocol import SearchSettings, Tokens


def repeats(tokens: Tokens, settings: SearchSettings) -> tuple[Tokens, Tokens] | None:
    """Return what would repeat an n-gram of its row: indices of rows, and the tokens forbidden.

    A pair may come twice.

    Args:
        tokens: `[N, t]`, what the rows have written.
        settings: forbids n-grams of some size, or none.

    Returns:
        None where nothing is forbidden.
    """
    size, length = settings.no_repeat_ngram, tokens.shape[-1]
    if size <= 0 or length < size:
        return None
    count = length - size + 1
    seen = np.ones((len(tokens), count), bool)
    for place in range(size - 1):
        last = tokens[:, length - size + 1 + place]
        seen &= tokens[:, place : place + count] == last[:, None]
    row, position = seen.nonzero()
    return (row, tokens[row, position + size - 1]) if len(row) else None
