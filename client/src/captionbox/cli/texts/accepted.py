"""Texts that a person has accepted, written one by one: text files, descriptions, or a table.

They are a person's from then on, whoever wrote them first: none gets Captionbox's mark.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Protocol

from captionbox.cli.output.formats import one_line
from captionbox.cli.output.journal import Journal
from captionbox.cli.output.part_file import UnwritableError, naming, replacing
from captionbox.cli.texts.exiftool import ExifTool, ExifToolError
from captionbox.cli.texts.marks import Marks
from captionbox.cli.texts.sidecars import Sidecars


class Accepted(Protocol):
    """Where accepted texts go."""

    def write(self, source: str, text: str) -> None:
        """Write the text of an image, in place of what is there.

        Raises:
            UnwritableError: it cannot be; the message says why.
        """


class AcceptedTexts:
    """Text files next to the images; see `Sidecars` for their names."""

    def __init__(self, extension: str, journal: Journal) -> None:
        self._sidecars = Sidecars(None, True, False, extension=extension)
        self._marks, self._journal = Marks(None, journal), journal

    def write(self, source: str, text: str) -> None:
        """See `Accepted`."""
        path = self._sidecars.texts(source)
        content = f"{one_line(text)}\n".encode("utf-8", "surrogateescape")
        self._marks.forget(path, content)
        _replace(path, content, self._journal)


class AcceptedDescriptions:
    """XMP and IPTC descriptions in the images."""

    def __init__(self, journal: Journal) -> None:
        self._exiftool = ExifTool(journal)

    def write(self, source: str, text: str) -> None:
        """See `Accepted`."""
        try:
            self._exiftool.describe(source, one_line(text), None)
        except ExifToolError as error:
            raise UnwritableError(str(error)) from error


class AcceptedTable:
    """A CSV file with `image,caption`; what is in it already is kept."""

    def __init__(self, path: Path, journal: Journal) -> None:
        self._path, self._journal = path, journal
        self._rows: dict[str, str] = {}
        if path.exists():
            with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
                self._rows = {row["image"]: row["caption"] for row in csv.DictReader(file)}

    def write(self, source: str, text: str) -> None:
        """See `Accepted`."""
        self._rows[source] = one_line(text)
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator="\n").writerows(
            [("image", "caption"), *self._rows.items()]
        )
        content = buffer.getvalue().encode("utf-8", "surrogateescape")
        _replace(self._path, content, self._journal)


def _replace(path: Path, content: bytes, journal: Journal) -> None:
    with naming(path):
        journal.making(path.parent)
        path.parent.mkdir(parents=True, exist_ok=True)
        journal.replacing(path, content)
        with replacing(path) as part:
            part.write_bytes(content)
