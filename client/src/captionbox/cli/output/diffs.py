"""A unified diff of bytes that `patch` applies exactly."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from pathlib import Path

_UNENDED = b"\\ No newline at end of file\n"


def diff(path: Path, old: bytes, new: bytes) -> bytes:
    """Return what changes in a file, for `patch -p0`."""
    name = os.fsencode(path)
    lines = difflib.diff_bytes(
        difflib.unified_diff, _lines(old), _lines(new), name, name, lineterm=b"\n"
    )
    return b"".join(_ended(lines))


def _lines(data: bytes) -> list[bytes]:
    # Not splitlines: a lone carriage return ends no line for `patch`.
    return [piece for piece in _split(data) if piece]


def _split(data: bytes) -> list[bytes]:
    pieces = data.split(b"\n")
    return [piece + b"\n" for piece in pieces[:-1]] + pieces[-1:]


def _ended(lines: Iterator[bytes]) -> Iterator[bytes]:
    for line in lines:
        yield line if line.endswith(b"\n") else line + b"\n" + _UNENDED
