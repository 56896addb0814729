"""Text of others on a terminal: names of files, words of servers."""

from __future__ import annotations


def printable(text: str) -> str:
    """Return `text` with everything escaped that moves the cursor or is no character at all."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
