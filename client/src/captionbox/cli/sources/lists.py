"""Lists of images, one a line, as every system writes them.

UTF-8 with or without a byte order mark (Excel, Notepad, older PowerShell), UTF-16 and UTF-32 with
one (PowerShell's `>`), lines that end as on Unix or Windows, and names with a null byte in between
(`find -print0`), which alone can carry every name.
"""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterator

_MARKS = (
    (codecs.BOM_UTF8, None),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),  # after UTF-32, whose mark begins with this one
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_LONGEST_MARK = 4


class ListError(Exception):
    """The list cannot be read; the message says why."""


class Lines:
    """Cuts a list into its lines, piece by piece as it arrives. Blank lines are left out.

    Without a byte order mark, bytes are names as this system has them. A null byte can be in no
    name, so where there is one, null bytes are what separates.

    Args:
        null: null bytes separate from the first one on, so that names may have line ends in them.
    """

    def __init__(self, null: bool = False) -> None:
        self._null = self._told = null
        self._begun = False
        self._decoder: codecs.IncrementalDecoder | None = None
        self._rest = b""

    def feed(self, piece: bytes) -> Iterator[str]:
        """Yield the lines that `piece` completes.

        Raises:
            ListError: the list is not of the encoding that its mark tells.
        """
        return self._take(piece, final=False)

    def end(self) -> Iterator[str]:
        """Yield what is left when nothing more comes.

        Raises:
            ListError: as `feed`.
        """
        return self._take(b"", final=True)

    def _take(self, piece: bytes, final: bool) -> Iterator[str]:
        if not self._begun:
            piece, self._rest = self._rest + piece, b""
            # So much of the beginning that the mark is known, whatever it is.
            if len(piece) < _LONGEST_MARK and not final and _may_be_mark(piece):
                self._rest = piece
                return
            piece = self._begin(piece)
        if self._decoder is not None:
            try:
                piece = self._decoder.decode(piece, final).encode()
            except UnicodeError as error:
                raise ListError(f"the list is not of the encoding it claims: {error}") from error
        self._null = self._null or b"\0" in piece
        *complete, self._rest = (self._rest + piece).split(b"\0" if self._null else b"\n")
        if final:
            complete.append(self._rest)
            self._rest = b""
        for line in complete:
            text = os.fsdecode(line if self._null else line.rstrip(b"\r"))
            if text.strip():
                yield text

    def _begin(self, piece: bytes) -> bytes:
        """Read the mark, if there is one; return what comes after it."""
        self._begun = True
        for mark, codec in _MARKS:
            if piece.startswith(mark):
                if codec is not None:
                    self._decoder = codecs.getincrementaldecoder(codec)()
                return piece[len(mark) :]
        if not self._told and _looks_like_utf16(piece):
            raise ListError(
                "the list looks like UTF-16 without a byte order mark: save it as UTF-8"
            )
        return piece


def _may_be_mark(piece: bytes) -> bool:
    return any(mark.startswith(piece) or piece.startswith(mark) for mark, _ in _MARKS)


def _looks_like_utf16(piece: bytes) -> bool:
    """Whether every other byte is null, for longer than a list of short names would have it."""
    start = piece[:64]
    nulls = start.count(b"\0")
    return nulls >= 8 and (start[1::2].count(b"\0") == nulls or start[::2].count(b"\0") == nulls)
