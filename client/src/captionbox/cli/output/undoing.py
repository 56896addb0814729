"""Takes back what a journal tells of: every file as it was, byte for byte.

A file that is neither as the run left it nor as it was before has been changed by somebody since:
it is left alone, and told.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from captionbox.cli.output.deltas import digest, restored
from captionbox.cli.output.journal import content_of
from captionbox.cli.output.part_file import part_of, replacing

Entry = dict[str, Any]


class ChangedError(Exception):
    """Somebody has changed a file since; the message says how it is left."""


@dataclass(frozen=True, slots=True)
class Step:
    """One file that is to be as it was.

    Attributes:
        path: which.
        old: its content before; None where there was no file.
        link: where it led, if it was a link.
        mode: its permissions before.
        mtime: its time before, in nanoseconds.
    """

    path: Path
    old: bytes | None
    link: str | None
    mode: int | None
    mtime: int | None

    def carry_out(self) -> None:
        """Make it so.

        Raises:
            OSError: the system does not allow it.
        """
        part_of(self.path).unlink(missing_ok=True)
        if self.old is None or self.link is not None:
            self.path.unlink(missing_ok=True)
        if self.link is not None:
            self.path.symlink_to(self.link)
        elif self.old is not None:
            with replacing(self.path) as part:
                part.write_bytes(self.old)
                # Some file systems have neither.
                with suppress(OSError):
                    if self.mode is not None:
                        part.chmod(self.mode)
                    if self.mtime is not None:
                        os.utime(part, ns=(self.mtime, self.mtime))


def steps(entries: list[Entry]) -> Iterator[Step | tuple[Path, ChangedError]]:
    """Yield what is to be done to take a run back, and files that have to be left alone.

    Files that are as they were before already are left out. Nothing is changed by this.

    Args:
        entries: of a journal.
    """
    of_path: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry["op"] in ("replace", "grow"):
            of_path.setdefault(entry["path"], []).append(entry)
    for name, changes in of_path.items():
        path = Path(name)
        now = content_of(path)
        try:
            old = _before(now, changes)
        except ChangedError as error:
            yield path, error
            continue
        first = changes[0]
        if old != now or part_of(path).exists() or _mtime(path) != first.get("mtime"):
            link = first.get("link")
            yield Step(path, old, link, first.get("mode"), first.get("mtime"))


def remove_folders(entries: list[Entry]) -> None:
    """Remove the folders that a run has made, where nothing is in them any more."""
    for entry in reversed(entries):
        if entry["op"] == "folder":
            with suppress(OSError):
                Path(entry["path"]).rmdir()


def _before(now: bytes | None, changes: list[Entry]) -> bytes | None:
    """Return a file's content before a run, told by its content now.

    Raises:
        ChangedError: the content now is not of that run.
    """
    content, checked = now, False
    for number in range(len(changes) - 1, -1, -1):
        change = changes[number]
        if change["op"] == "grow":
            if not checked:
                content, checked = _grown(content, changes, number), True
            content = (content or b"")[: change["size"]]
            continue
        mark = None if content is None else digest(content)
        if mark != change["before"]:
            if not checked and change["after"] not in (mark, "any"):
                raise ChangedError("was changed since, and is left as it is")
            content = None if change["before"] is None else restored(content or b"", change)
        checked = False
    return content


def _grown(content: bytes | None, changes: list[Entry], number: int) -> bytes:
    """Return a file that grew, up to the last addition that a journal knows.

    Raises:
        ChangedError: something else is in it.
    """
    content = content or b""
    for at in (number, number - 1):
        if at < 0 or changes[at]["op"] != "grow":
            break
        size, sum_then = changes[at]["size"], changes[at]["crc"]
        whole = len(content) >= size and zlib.crc32(content[:size]) == sum_then
        # What is beyond can only be a piece of the addition that was on its way.
        most = size if at == number else changes[number]["size"]
        if whole and len(content) <= most:
            return content[:size]
    if (
        number
        and changes[number - 1]["op"] == "replace"
        and len(content) <= changes[number]["size"]
    ):
        return content
    raise ChangedError("has lines that the run did not write, or corrected ones, and is left")


def _mtime(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None
