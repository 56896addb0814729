"""What a command has changed, kept so that `captionbox undo` can take it back.

A journal is a file of JSON lines outside the folders that are worked on: the first line says which
run it is, each further one what is about to be changed, written before the change is made. So a
process may be killed at any moment, and the journal knows at least as much as was done. A run that
was cut off and is taken up again by the same command goes on in the same journal: both are one.
"""

from __future__ import annotations

import json
import os
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import typer

from captionbox.cli.output.deltas import delta, digest
from captionbox.cli.output.endings import ExitCode

STATE_VARIABLE = "CAPTIONBOX_STATE_DIR"
_KEPT = 50
"""Journals beyond which the oldest go."""


class Journal(Protocol):
    """Is told of every change before it is made."""

    def replacing(self, path: Path, new: bytes | None) -> None:
        """The file is about to have this content; None: to be removed."""

    def beginning(self, path: Path, changed: bool) -> None:
        """The file is about to grow; `changed`: and before that to be put in order, or made."""

    def growing(self, path: Path, size: int, checksum: int) -> None:
        """The file is about to have that size and `zlib.crc32`, by bytes added at its end."""

    def making(self, folder: Path) -> None:
        """The folder is about to be made, with those above it that are missing."""


class NoJournal:
    """For who changes nothing, or is not to be undone."""

    def replacing(self, path: Path, new: bytes | None) -> None:
        """Keep nothing."""

    def beginning(self, path: Path, changed: bool) -> None:
        """Keep nothing."""

    def growing(self, path: Path, size: int, checksum: int) -> None:
        """Keep nothing."""

    def making(self, folder: Path) -> None:
        """Keep nothing."""


class RunJournal:
    """The journal of one run; begun with the first change.

    Args:
        folder: where journals are.
        what: the command and all that tells this run from others.
    """

    def __init__(self, folder: Path, what: list[str]) -> None:
        self._folder = folder
        self._head = {"what": what, "folder": os.getcwd()}  # noqa: PTH109 - may be no UTF-8
        self._impossible = False
        self._file = self._unfinished()

    def replacing(self, path: Path, new: bytes | None) -> None:
        """See `Journal`."""
        entry = _state(path)
        old = content_of(path)
        entry["op"] = "replace"
        entry["before"] = None if old is None else digest(old)
        entry["after"] = None if new is None else digest(new)
        if old is not None:
            entry |= delta(old, new or b"")
        self._add(entry)

    def beginning(self, path: Path, changed: bool) -> None:
        """See `Journal`."""
        old = content_of(path)
        if changed or old is None:
            entry = _state(path) | {"op": "replace", "after": "any"}
            entry["before"] = None if old is None else digest(old)
            if old is not None:
                entry |= delta(old, b"")
            self._add(entry)
        else:
            self._add(_state(path) | {"op": "grow", "size": len(old), "crc": zlib.crc32(old)})

    def growing(self, path: Path, size: int, checksum: int) -> None:
        """See `Journal`."""
        self._add({"op": "grow", "path": _absolute(path), "size": size, "crc": checksum})

    def making(self, folder: Path) -> None:
        """See `Journal`."""
        missing: list[Path] = []
        while not folder.exists() and folder != folder.parent:
            missing.append(folder)
            folder = folder.parent
        for one in reversed(missing):
            self._add({"op": "folder", "path": _absolute(one)})

    def close(self, finished: bool) -> None:
        """End.

        Args:
            finished: whether nothing is left to be taken up by the same command.
        """
        if self._file is None:
            return
        if finished:
            self._add({"op": "end", "at": _now()})
        with self._file, suppress(OSError):
            os.fsync(self._file.fileno())

    def _add(self, entry: dict[str, Any]) -> None:
        if self._file is None and not self._impossible:
            try:
                self._file = self._begin()
            except OSError as error:
                self._impossible = True
                typer.echo(
                    f"captionbox: this run cannot be undone, no journal can be kept in "
                    f"{self._folder}: {error.strerror}; {STATE_VARIABLE} names another place",
                    err=True,
                )
        if self._file is not None:
            self._file.write(json.dumps(entry).encode() + b"\n")

    def _begin(self) -> BinaryIO:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for old in journals(self._folder)[_KEPT - 1 :]:
            old.unlink(missing_ok=True)
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
        path = self._folder / f"{stamp}-{os.getpid()}.jsonl"
        file = path.open("a+b", buffering=0)
        lock(file)
        file.write(json.dumps(self._head | {"at": _now()}).encode() + b"\n")
        return file

    def _unfinished(self) -> BinaryIO | None:
        """Return the last journal of the same command, where that was cut off."""
        for path in journals(self._folder)[:_KEPT]:
            try:
                file = path.open("a+b", buffering=0)
            except OSError:
                continue
            if head_of(file) != self._head:
                file.close()
                continue
            if is_over(file) or not lock(file):
                file.close()
                return None
            file.write(b"\n")  # ends a line that a killed process left
            return file
        return None


@contextmanager
def keeping(*what: object) -> Iterator[RunJournal]:
    """Keep a journal of what is done in this block.

    A block that ends in an exception, or by an exit code that tells of something left to do, is
    taken up by the next run with the same `what`.

    Args:
        what: the command, and what tells this run from others. No secrets: it is kept.
    """
    journal = RunJournal(journal_folder(), [str(one) for one in what])
    finished = False
    try:
        yield journal
        finished = True
    except BaseException as error:
        code = getattr(error, "exit_code", None)
        finished = code in (ExitCode.OK, ExitCode.SOME_FAILED)
        raise
    finally:
        journal.close(finished)


def journal_folder() -> Path:
    """Return where journals are kept: with a person's other state, never among the pictures."""
    named = os.environ.get(STATE_VARIABLE) or os.environ.get("STATE_DIRECTORY")
    if named:
        return Path(named.partition(":")[0]) / "runs"
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    else:
        base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "captionbox" / "runs"


def journals(folder: Path) -> list[Path]:
    """Return the journals, the last one first."""
    return sorted(folder.glob("*.jsonl"), reverse=True)


def read(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the head of a journal and its entries; a line that was cut off is left out.

    Raises:
        ValueError: it is no journal.
        OSError: it cannot be read.
    """
    lines: list[dict[str, Any]] = []
    for line in path.read_bytes().split(b"\n"):
        with suppress(ValueError):
            entry = json.loads(line)
            if isinstance(entry, dict):
                lines.append(entry)
    if not lines or "what" not in lines[0]:
        raise ValueError(f"{path} is no journal")
    return lines[0], [one for one in lines[1:] if "op" in one]


def head_of(file: BinaryIO) -> dict[str, Any] | None:
    """Return which run a journal is of, without the time; None where it is none."""
    file.seek(0)
    try:
        head = json.loads(file.readline())
        return {"what": head["what"], "folder": head["folder"]}
    except (ValueError, KeyError, TypeError):
        return None


def is_over(file: BinaryIO) -> bool:
    """Whether nothing is to be added to a journal: its run has come to its end, or is undone."""
    file.seek(max(0, file.seek(0, os.SEEK_END) - 1000))
    last = file.read().rstrip().rpartition(b"\n")[2]
    return last.startswith((b'{"op": "end"', b'{"op": "undone"'))


def lock(file: BinaryIO, without: Callable[[OSError], None] = lambda _: None) -> bool:
    """Take a file for this process alone, until it is closed; False where another has it.

    Args:
        file: open.
        without: told of the error where the file system has no locks: Lustre, some FUSE and NFS.
            There one can protect nobody, and the file is as good.
    """
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        without(error)
    return True


def _state(path: Path) -> dict[str, Any]:
    """Return what undoing has to know of a file besides its content."""
    entry: dict[str, Any] = {"path": _absolute(path)}
    with suppress(OSError):
        if path.is_symlink():
            entry["link"] = os.readlink(path)  # noqa: PTH115 - as it stands
        found = path.stat()
        entry |= {"mode": found.st_mode & 0o7777, "mtime": found.st_mtime_ns}
    return entry


def content_of(path: Path) -> bytes | None:
    """Return what a file holds; None where it is not there, or cannot be read."""
    try:
        return path.read_bytes()
    except OSError:
        return None


def _absolute(path: Path) -> str:
    return os.path.abspath(path)  # noqa: PTH100 - links stay


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
