"""An output file that can be taken up again after the process was killed at any moment.

The file is its own journal: one line a record, each written with one system call as soon as its
answer is there. What a killed process may leave behind is one line without an end; it is cut off,
and its image asked for again. Nothing that is complete is ever asked for twice or rewritten, so
captions corrected by hand stay as they are.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from captionbox.cli.output.formats import Entry, LineFormat, Past, Record
from captionbox.cli.output.part_file import replacing
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

    Raises:
        RecordFileError: another process writes to it, it holds something else than records of that
            format, or the system does not allow it.
    """

    def __init__(self, path: Path, lines: LineFormat, keep: bool, retry_failed: bool) -> None:
        self._path, self._lines = path, lines
        self._past: dict[str, Past] = {}
        try:
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
        self._append(self._lines.line(record))

    def close(self) -> None:
        """Make sure that the records survive the end of the machine, too."""
        with self._file:
            os.fsync(self._file.fileno())

    def _open(self) -> BinaryIO:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = self._path.open("a+b", buffering=0)
        if not _lock(file):
            file.close()
            raise RecordFileError(f"{self._path} is being written by another captionbox")
        return file

    def _take_up(self, keep: bool, retry_failed: bool) -> None:
        end = 0
        for line, entry in self._read():
            end += len(line)
            if entry is not None:
                self._past[identity(entry.source)] = _past(entry)
        if not keep:
            self._past.clear()
            end = 0
        self._file.truncate(end)
        if retry_failed and Past.FAILED in self._past.values():
            self._drop_failures()
        if end == 0 and self._lines.header is not None:
            self._append(self._lines.header)

    def _read(self) -> Iterator[tuple[bytes, Entry | None]]:
        """Yield the complete lines, and what they say; None for the header."""
        self._file.seek(0)
        with open(self._file.fileno(), "rb", closefd=False) as reader:
            for number, line in enumerate(reader, 1):
                if not line.endswith(b"\n"):
                    if number == 1:
                        self._check_torn(line.decode("utf-8", "replace"))
                    return
                text = line.decode("utf-8", "surrogateescape").rstrip("\r\n")
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
        for opening in self._lines.openings:
            if piece.startswith(opening) or opening.startswith(piece):
                return
        raise self._not_ours(1, "it has no end; delete the file if nobody needs it")

    def _not_ours(self, number: int, reason: str) -> RecordFileError:
        return RecordFileError(
            f"{self._path} is left alone: line {number} is not of the format asked for ({reason}); "
            "give another --out or --format"
        )

    def _drop_failures(self) -> None:
        """Put a file without the failures in the place of this one, all at once."""
        with replacing(self._path) as part, part.open("wb") as copy:
            for line, entry in self._read():
                if entry is None or not entry.failed:
                    copy.write(line)
            copy.flush()
            os.fsync(copy.fileno())
        self._file.close()
        self._file = self._open()
        for source in [source for source, past in self._past.items() if past is Past.FAILED]:
            del self._past[source]

    def _append(self, line: str) -> None:
        data = memoryview(line.encode("utf-8", "surrogateescape") + b"\n")
        while data:
            data = data[self._file.write(data) :]


def _past(entry: Entry) -> Past:
    return Past.FAILED if entry.failed else Past.CAPTIONED


def _lock(file: BinaryIO) -> bool:
    """Take the file for this process alone, until it is closed; False where another has it."""
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
