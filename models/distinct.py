"""Different captions, not the same one twice: what counts as a repeat, and looking for more."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import TypeVar

C = TypeVar("C")

ROUNDS = 3
"""How often candidates are looked for at most, the first time included."""

_NO_WORD = re.compile(r"[\W_]+")


def normalised(text: str) -> str:
    """Return `text` without what makes no difference: case, whitespace, punctuation."""
    return _NO_WORD.sub(" ", unicodedata.normalize("NFKC", text).casefold()).strip()


def distinct_candidates(
    look: Callable[[Sequence[int], int], Sequence[Sequence[C]]],
    batch: int,
    wanted: int,
    text: Callable[[C], str],
    score: Callable[[C], float],
) -> list[list[C]]:
    """Look for `wanted` different captions a picture.

    Of repeats the best stays. A picture that has too few after a round is looked at again, on its
    own account: what a picture gets never depends on the others in its batch.

    Args:
        look: called with indices of pictures and the round, 0-based; returns the candidates of
            each of those pictures. Later rounds should look wider, or draw afresh.
        batch: number of pictures.
        wanted: captions a picture, at least 1. At 1 there is one round only.
        text: of a candidate.
        score: of a candidate; the highest is the best.

    Returns:
        Per picture at most `wanted` candidates, best first; fewer, but at least one, where
        `ROUNDS` rounds have found no more that differ.
    """
    found: list[dict[str, C]] = [{} for _ in range(batch)]
    pictures: Sequence[int] = range(batch)
    for attempt in range(ROUNDS if wanted > 1 else 1):
        for picture, candidates in zip(pictures, look(pictures, attempt), strict=True):
            best = found[picture]
            for candidate in candidates:
                key = normalised(text(candidate))
                if key not in best or score(candidate) > score(best[key]):
                    best[key] = candidate
        pictures = [picture for picture in pictures if len(found[picture]) < wanted]
        if not pictures:
            break
    return [sorted(best.values(), key=lambda c: -score(c))[:wanted] for best in found]
