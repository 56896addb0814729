"""How a file was before, told by what it is now: the bytes in between that differ."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

_PIECE = 1 << 16


def digest(content: bytes) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def delta(old: bytes, new: bytes) -> dict[str, Any]:
    """Return what `restored` needs to make `old` of `new`: little, where little was changed."""
    most = min(len(old), len(new))
    before = _alike(old, new, most)
    after = _alike_at_end(old, new, most - before)
    middle = old[before : len(old) - after]
    return {"begin": before, "end": after, "middle": base64.b64encode(middle).decode()}


def restored(new: bytes, difference: dict[str, Any]) -> bytes:
    """Return the content that there was before.

    Args:
        new: the content that `difference` was made with.
        difference: of `delta`.
    """
    middle = base64.b64decode(difference["middle"])
    end: int = difference["end"]
    return new[: difference["begin"]] + middle + (new[-end:] if end else b"")


def _alike(one: bytes, other: bytes, most: int) -> int:
    """Return how many bytes at the beginning are the same."""
    at = 0
    while at < most and one[at : at + _PIECE] == other[at : at + _PIECE]:
        at += _PIECE
    at = min(at, most)
    size = min(_PIECE, most - at)
    while size:
        if one[at : at + size] == other[at : at + size]:
            at += size
        size //= 2
    while at < most and one[at] == other[at]:
        at += 1
    return at


def _alike_at_end(one: bytes, other: bytes, most: int) -> int:
    """Return how many bytes at the end are the same, at most so many."""
    if not most:
        return 0
    return _alike(one[-most:][::-1], other[-most:][::-1], most)
