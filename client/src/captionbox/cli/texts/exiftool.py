"""Descriptions in image files, through exiftool: it rewrites the metadata and copies the pixels."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from captionbox.cli.output.deltas import digest
from captionbox.cli.output.endings import UsageError
from captionbox.cli.output.journal import Journal, NoJournal
from captionbox.cli.sources.sources import identity
from captionbox.cli.texts.camera_texts import is_written
from captionbox.images import media_type
from captionbox.results import ModelUsed

_TAGS = ("XMP-dc:Description", "IPTC:Caption-Abstract", "EXIF:ImageDescription")
_WRITER = "XMP-photoshop:CaptionWriter"
"""IPTC's "description writer": who wrote the description."""
_MARK = re.compile(r"Captionbox \((?P<model>.*), sha256 (?P<sha256>[0-9a-f]{16})\)")
_FILE = "SourceFile"
_AT_ONCE = 200
_ENDINGS = {
    "image/jpeg": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "image/png": (".png",),
    "image/gif": (".gif",),
    "image/webp": (".webp",),
    "image/tiff": (".tif", ".tiff"),
}


class ExifToolError(Exception):
    """exiftool could not write to a file; the message is its own."""


@dataclass(frozen=True, slots=True)
class Described:
    """The descriptions in a file.

    Attributes:
        texts: of XMP, IPTC and EXIF, where there are any.
        writer: who wrote them, as the file says.
    """

    texts: tuple[str, ...]
    writer: str

    @property
    def is_written(self) -> bool:
        """Whether anybody wrote one; what comes from a camera by itself is none."""
        return any(map(is_written, self.texts))

    @property
    def is_ours(self) -> bool:
        """Whether all of them are what Captionbox wrote, unchanged since."""
        written = [text for text in self.texts if is_written(text)]
        return bool(written) and all(map(self._is_marked, written))

    @property
    def has_ours(self) -> bool:
        """Whether one of them is."""
        return any(map(self._is_marked, self.texts))

    def _is_marked(self, text: str) -> bool:
        mark = _MARK.fullmatch(self.writer)
        return mark is not None and _short_digest(text) == mark["sha256"]


class ExifTool:
    """The program `exiftool`.

    Args:
        journal: is told of every change.

    Raises:
        UsageError: it is not installed.
    """

    def __init__(self, journal: Journal | None = None) -> None:
        self._journal = journal or NoJournal()
        program = shutil.which("exiftool")
        if program is None:
            raise UsageError(
                "exiftool is not installed; it writes the descriptions (Debian and Ubuntu: package "
                "libimage-exiftool-perl, Fedora: perl-Image-ExifTool, macOS: brew install exiftool)"
            )
        self._program = program

    def descriptions(self, sources: Sequence[str]) -> dict[str, Described]:
        """Return what is described in those of the files that can be read."""
        found: dict[str, Described] = {}
        for group in _groups(sources):
            paths = {identity(source): source for source in group}
            tags = [f"-{tag}" for tag in (*_TAGS, _WRITER)]
            # A file that cannot be read makes exiftool's exit code 1, the others are told all the
            # same; an absolute path never looks like an option.
            done = self._run("-j", "-q", "-q", *tags, *paths)
            for entry in json.loads(done.stdout or b"[]"):
                name = group[0] if len(group) == 1 else paths[entry.pop(_FILE)]
                entry.pop(_FILE, None)
                writer = str(entry.pop(_WRITER.rpartition(":")[2], ""))
                found[name] = Described(tuple(map(str, entry.values())), writer)
        return found

    def describe(self, source: str, text: str, model: ModelUsed | None) -> None:
        """Write a description; the file is replaced all at once, and keeps its time and mode.

        Args:
            source: the file.
            text: the description.
            model: which model wrote it, for the mark; None where a person did.

        Raises:
            ExifToolError: the file is of a kind that exiftool does not write, or not writable.
        """
        told = f"{model.name} {model.version}, sha256 {_short_digest(text)}" if model else ""
        mark = f"Captionbox ({told})" if told else ""
        tags = [f"-{_WRITER}={mark}", f"-XMP-dc:Description={text}"]
        if _fits_iptc(text):
            tags.append(f"-IPTC:Caption-Abstract={text}")
        path = Path(identity(source)).resolve()
        # exiftool refuses to go on where it was killed at a file, so it is given a copy.
        part = path.with_name(f".captionbox-part-{path.name}{_true_suffix(path)}")
        rest = part.with_name(f"{part.name}_exiftool_tmp")
        try:
            rest.unlink(missing_ok=True)
            shutil.copy2(path, part)
            done = self._run("-q", "-q", "-P", "-overwrite_original", *tags, str(part))
            if done.returncode != 0:
                message = os.fsdecode(done.stderr).replace(str(part), source).strip()
                raise ExifToolError(message or "exiftool failed")
            self._journal.replacing(path, part.read_bytes())
            part.replace(path)
        except OSError as error:
            raise ExifToolError(str(error)) from error
        finally:
            part.unlink(missing_ok=True)
            rest.unlink(missing_ok=True)

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        command = [self._program, *arguments]
        return subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, check=False)


def _short_digest(text: str) -> str:
    return digest(text.encode("utf-8", "surrogateescape"))[:16]


def _groups(sources: Sequence[str]) -> Iterator[list[str]]:
    """Yield the files to be asked for at once: alone where JSON cannot tell which one it is."""
    plain: list[str] = []
    for source in sources:
        if identity(source).isprintable():
            plain.append(source)
        else:
            yield [source]
    for start in range(0, len(plain), _AT_ONCE):
        yield plain[start : start + _AT_ONCE]


def _true_suffix(path: Path) -> str:
    """Return what a file's name lacks for exiftool: it refuses a PNG that is called `.jpg`."""
    try:
        with path.open("rb") as file:
            endings = _ENDINGS.get(media_type(file.read(32)), ())
    except OSError:
        return ""
    return endings[0] if endings and path.suffix.lower() not in endings else ""


def _fits_iptc(text: str) -> bool:
    """Whether IPTC, which is Latin-1 unless a file says otherwise, can hold `text`."""
    try:
        return len(text.encode("latin-1")) <= 2000
    except UnicodeEncodeError:
        return False
