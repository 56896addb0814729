"""An output file that can be taken up again after the process was killed at any moment.

The file is its own journal: one line a record, each written with one system call as soon as its
answer is there. What a killed process may leave behind is one line without an end; it is cut off,
and its image asked for again. Nothing that is complete is ever asked for twice or rewritten, so
captions corrected by hand stay as they are. An editor may have put a byte order mark in front,
ended the lines as Windows does, and left the last one without an end; that one is kept, then.
"""

from __future__ import annotations

import codecs
import os
import warnings
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from captionbox.cli.output.formats import Entry, LineFormat, Past, Record
from captionbox.cli.output.journal import Journal, NoJournal, lock
from captionbox.cli.output.part_file import replacing, settle
from captionbox.cli.sources.sources import identity


class RecordFileError(Exception):
    """The output file cannot be used; the message says why."""


class RecordFile:
    """Records in a file, one line each.

    Args:
        path: the file; made where there is none.
        lines: its format.
        keep: keep what is there and add to it; otherwise begin anew.
        retry_failed: forget records of failures, so that their images are asked for again.
        journal: is told of every change.

    Raises:
        RecordFileError: another process writes to it, it holds something else than records of that
            format, or the system does not allow it.
    """

    def __init__(
        self,
        path: Path,
        lines: LineFormat,
        keep: bool,
        retry_failed: bool,
        journal: Journal | None = None,
    ) -> None:
        self._path, self._lines, self._journal = path, lines, journal or NoJournal()
        self._size = self._sum = 0
        self._past: dict[str, Past] = {}
        try:
            self._note_new()
            self._file = self._open()
            try:
                self._take_up(keep, retry_failed)
            except BaseException:
                self._file.close()
                raise
        except OSError as error:
            raise RecordFileError(f"cannot write {path}: {error.strerror or error}") from error

    def past(self, source: str) -> Past:
        """Return what the record of that image says, if there is one."""
        return self._past.get(identity(source), Past.NEW)

    def write(self, record: Record) -> None:
        """Add a record; when this returns, it survives the end of this process."""
        line = _encoded(self._lines.line(record))
        self._size, self._sum = self._size + len(line), zlib.crc32(line, self._sum)
        self._journal.growing(self._path, self._size, self._sum)
        self._append(line)

    def close(self) -> None:
        """Make sure that the records survive the end of the machine, too."""
        with self._file:
            settle(self._file)

    def _note_new(self) -> None:
        """Tell the journal of a file that is not there yet, before it is."""
        self._journal.making(self._path.parent)
        self._is_new = not os.path.lexists(self._path)
        if self._is_new:
            self._journal.beginning(self._path, changed=True)

    def _open(self) -> BinaryIO:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = self._path.open("a+b", buffering=0)
        if not lock(file, self._warn):
            file.close()
            raise RecordFileError(f"{self._path} is being written by another captionbox")
        return file

    def _warn(self, error: OSError) -> None:
        warnings.warn(
            f"{self._path} cannot be locked ({error.strerror}): see to it that nothing else writes "
            "to it meanwhile",
            stacklevel=2,
        )

    def _take_up(self, keep: bool, retry_failed: bool) -> None:
        end, unended, unwanted = 0, False, False
        for line, entry in self._read():
            end += len(line)
            unended = not line.endswith(b"\n")
            if entry is not None:
                past = Past.NEW if _is_open(entry, retry_failed) else _past(entry)
                if self.past(entry.source) is not Past.CAPTIONED:
                    self._past[identity(entry.source)] = past
                unwanted = unwanted or past is Past.NEW
        if not keep:
            self._past.clear()
            end, unended, unwanted = 0, False, False
        size = self._file.seek(0, os.SEEK_END)
        if not self._is_new:
            headed = end == 0 and self._lines.header is not None
            changed = size != end or unended or unwanted or headed
            self._journal.beginning(self._path, changed)
        if size != end:
            self._file.truncate(end)
        if unended:
            self._append(b"\n")
        if unwanted:
            self._drop(lambda entry: _is_open(entry, retry_failed))
        if end == 0 and self._lines.header is not None:
            self._append(_encoded(self._lines.header))
        self._file.seek(0)
        content = self._file.read()
        self._size, self._sum = len(content), zlib.crc32(content)

    def _read(self) -> Iterator[tuple[bytes, Entry | None]]:
        """Yield the complete lines, and what they say; None for the header."""
        self._file.seek(0)
        with open(self._file.fileno(), "rb", closefd=False) as reader:
            edited = False
            for number, line in enumerate(reader, 1):
                edited = edited or line.startswith(codecs.BOM_UTF8) or line.endswith(b"\r\n")
                if line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                    raise self._not_ours(number, "it is UTF-16; save it as UTF-8")
                raw = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
                text = raw.decode("utf-8", "surrogateescape").rstrip("\r\n")
                if not line.endswith(b"\n") and not (edited and self._is_whole(text)):
                    if number == 1:
                        self._check_torn(text)
                    return
                if number == 1 and self._lines.header is not None:
                    if text != self._lines.header:
                        raise self._not_ours(number, f"it is not {self._lines.header}")
                    yield line, None
                    continue
                try:
                    yield line, self._lines.read(text)
                except (ValueError, RecursionError) as error:
                    raise self._not_ours(number, str(error)) from error

    def _check_torn(self, piece: str) -> None:
        """Refuse a file that is one unfinished line, unless a killed process of ours left it."""
        if not piece:
            return
        for opening in self._lines.openings:
            if piece.startswith(opening) or opening.startswith(piece):
                return
        raise self._not_ours(1, "it has no end; delete the file if nobody needs it")

    def _is_whole(self, text: str) -> bool:
        """Whether a line without an end is a record all the same."""
        try:
            self._lines.read(text)
        except (ValueError, RecursionError):
            return text == self._lines.header
        return True

    def _not_ours(self, number: int, reason: str) -> RecordFileError:
        return RecordFileError(
            f"{self._path} is left alone: line {number} is not of the format asked for ({reason}); "
            "give another --out or --format"
        )

    def _drop(self, unwanted: Callable[[Entry], bool]) -> None:
        """Put a file without such records in the place of this one, all at once."""
        with replacing(self._path) as part, part.open("wb") as copy:
            for line, entry in self._read():
                if entry is None or not unwanted(entry):
                    copy.write(line)
            copy.flush()
            settle(copy)
        self._file.close()
        self._file = self._open()

    def _append(self, line: bytes) -> None:
        data = memoryview(line)
        while data:
            data = data[self._file.write(data) :]


def _encoded(line: str) -> bytes:
    return line.encode("utf-8", "surrogateescape") + b"\n"


def _is_open(entry: Entry, retry_failed: bool) -> bool:
    """Whether a record says nothing that would not be asked again."""
    return entry.empty or (retry_failed and entry.failed)


def _past(entry: Entry) -> Past:
    return Past.FAILED if entry.failed else Past.CAPTIONED
