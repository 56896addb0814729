"""Captions that stop in mid-phrase: the known fault of self-critical training."""

from __future__ import annotations

from collections.abc import Iterable

FUNCTION_WORDS = frozenset(
    "a an and are as at behind beside by for from his her in into is its near next of on onto or "
    "over that the their through to under while with".split()
)
"""English words that end no caption."""


def share_of_bad_endings(captions: Iterable[str]) -> float:
    """Return the share (0..1) of captions whose last word is a function word; 0 of no captions."""
    ends = [caption.lower().rstrip(" .").rpartition(" ")[2] for caption in captions]
    return sum(end in FUNCTION_WORDS for end in ends) / max(len(ends), 1)
