"""Which texts Captionbox wrote: a hidden file in their folder has a line for each.

A line has the text's SHA-256, so a text that a person has changed is a person's; and the model's
name and version, so that everything an older model wrote can be found. The file goes where its
folder goes. Lines are only ever added: a process may be killed at any moment.
"""

from __future__ import annotations

import json
import os
import zlib
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import BinaryIO

from captionbox.cli.output.deltas import digest
from captionbox.cli.output.journal import Journal, NoJournal, content_of
from captionbox.results import ModelUsed

MARKS = ".captionbox-texts.jsonl"


@dataclass(frozen=True, slots=True)
class Mark:
    """What is known of a text that Captionbox wrote.

    Attributes:
        model: the model's name.
        version: its version.
        picture: size in bytes and time in nanoseconds of the picture that it saw; None where that
            was no file.
    """

    model: str
    version: str
    picture: tuple[int, int] | None


@dataclass
class Marks:
    """The marks of texts in any number of folders.

    Args:
        root: folder whose file has the marks of all texts below it; None for one in each folder.
        journal: is told of every line.
    """

    root: Path | None = None
    journal: Journal = field(default_factory=NoJournal)
    _files: dict[Path, _MarkFile] = field(default_factory=dict)

    def of(self, path: Path) -> Mark | None:
        """Return the mark of a text as it is now; None where a person wrote or changed it."""
        content = content_of(path)
        if content is None:
            return None
        file, name = self._file(path)
        return file.marks.get((name, digest(content)))

    def put(self, path: Path, content: bytes, model: ModelUsed, picture: Path) -> None:
        """Mark a text that is about to be written."""
        file, name = self._file(path)
        mark = Mark(model.name, model.version, state_of(picture))
        file.add(name, digest(content), mark, self.journal)

    def forget(self, path: Path, content: bytes) -> None:
        """Note that a text is a person's, although Captionbox wrote it: somebody accepted it."""
        file, name = self._file(path)
        if (name, digest(content)) in file.marks:
            file.add(name, digest(content), None, self.journal)

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()

    def _file(self, path: Path) -> tuple[_MarkFile, str]:
        folder = self.root or path.parent
        if folder not in self._files:
            self._files[folder] = _MarkFile(folder / MARKS)
        return self._files[folder], os.path.relpath(path, folder)


class _MarkFile:
    """The marks of one folder."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._size = self._sum = 0
        self.marks: dict[tuple[str, str], Mark] = {}
        with suppress(OSError):
            for line in path.read_bytes().split(b"\n"):
                with suppress(ValueError, KeyError, TypeError):
                    found = json.loads(line)
                    key = found["file"], found["sha256"]
                    if found.get("accepted"):
                        self.marks.pop(key, None)
                        continue
                    picture = found.get("picture")
                    mark = Mark(found["model"], found["version"], picture and tuple(picture))
                    self.marks[key] = mark

    def add(self, name: str, text: str, mark: Mark | None, journal: Journal) -> None:
        """Add a mark; None takes one away."""
        if self.marks.get((name, text)) == mark:
            return
        told = {"accepted": True} if mark is None else asdict(mark)
        line = json.dumps({"file": name, "sha256": text} | told).encode() + b"\n"
        if self._file is None:
            line = self._open(journal) + line
        self._size, self._sum = self._size + len(line), zlib.crc32(line, self._sum)
        journal.growing(self._path, self._size, self._sum)
        if self._file is not None:
            self._file.write(line)
        if mark is None:
            del self.marks[name, text]
        else:
            self.marks[name, text] = mark

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _open(self, journal: Journal) -> bytes:
        """Open the file; return what has to come first: the end of a line that was cut off."""
        journal.beginning(self._path, changed=False)
        self._file = self._path.open("ab", buffering=0)
        old = self._path.read_bytes()
        self._size, self._sum = len(old), zlib.crc32(old)
        return b"" if not old or old.endswith(b"\n") else b"\n"


def state_of(picture: Path) -> tuple[int, int] | None:
    """Return what differs after a file was changed; None where it is not there."""
    try:
        found = os.stat(picture)  # noqa: PTH116 - null bytes are a ValueError
    except (OSError, ValueError):
        return None
    return found.st_size, found.st_mtime_ns
