"""Captions in text files next to their images: `photo.jpg` gets `photo.txt`.

A sidecar appears complete or not at all, so its being there with text in it is the record that its
image is done. Once there it stays its image's, whatever other images come later.
"""

from __future__ import annotations

import codecs
import hashlib
import os
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from captionbox.cli.output.formats import Past, Record
from captionbox.cli.output.journal import Journal, NoJournal
from captionbox.cli.output.part_file import UnwritableError, naming, replacing
from captionbox.cli.output.policies import Existing
from captionbox.cli.sources.sources import system_name
from captionbox.cli.texts.marks import Marks, state_of
from captionbox.images import SUFFIXES, is_url

_LONGEST_PART = 200
_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Sidecars:
    """Text files with captions, one an image.

    `photo.txt`; `photo.jpg.txt` where that could be another image's: there is a `photo.png`, too.
    Where `photo.txt` was there before the second image came, it stays the first one's. What failed
    gets `photo.jpg.error.txt` with the reason. An image on the web lies in a folder that is named
    after its host.

    Args:
        root: put them under this folder, in the images' own folder structure; next to the images if
            it is None.
        keep: images that have a sidecar with text in it, whoever wrote it, are done.
        retry_failed: images whose failure is recorded are not.
        existing: where given, what is done about texts that are there; otherwise as `keep` says.
        preserve_human: where texts are overwritten, only those that Captionbox wrote.
        renew: texts that Captionbox wrote are not done where the picture has changed since.
        extension: ending of the files, with its dot.
        journal: is told of every change.
    """

    def __init__(
        self,
        root: Path | None,
        keep: bool,
        retry_failed: bool,
        *,
        existing: Existing | None = None,
        preserve_human: bool = False,
        renew: bool = False,
        extension: str = ".txt",
        journal: Journal | None = None,
    ) -> None:
        self._root, self._retry_failed, self._extension = root, retry_failed, extension
        self._existing = existing or (Existing.SKIP if keep else Existing.OVERWRITE)
        self._preserve_human, self._renew = preserve_human, renew
        self._journal = journal or NoJournal()
        self._marks = Marks(root, self._journal)
        self._folders: dict[Path, _Folder] = {}
        self._owners: dict[Path, str] = {}

    def past(self, source: str) -> Past:
        """Return whether that image has a sidecar, or a record of its failure."""
        if self._stays(source, self._captions(source)):
            return Past.CAPTIONED
        asked_again = self._retry_failed or self._existing is Existing.OVERWRITE
        if not asked_again and self._has_failed(source):
            return Past.FAILED
        return Past.NEW

    def write(self, record: Record) -> None:
        """Write a record's sidecar; where somebody has written one in the meantime, leave it.

        Raises:
            UnwritableError: there can be no file of that name.
        """
        failure = self._failure(record.source)
        if record.result is None:
            self._put(failure, _encoded(record.reason), None)
            return
        path = self._captions(record.source)
        if not self._stays(record.source, path):
            self._put(path, self._content(path, record.caption), record)
        if _is_there(failure):
            self._journal.replacing(failure, None)
            failure.unlink()

    def texts(self, source: str) -> Path:
        """Return the path of an image's sidecar, whether or not it is there."""
        return self._captions(source)

    def close(self) -> None:
        """Close the files with the marks."""
        self._marks.close()

    def _stays(self, source: str, path: Path) -> bool:
        """Whether the text at `path` is left as it is."""
        if self._existing is Existing.MISSING_ONLY:
            return _is_there(path)
        if not _has_text(path):
            return False
        if self._existing is Existing.OVERWRITE:
            return self._preserve_human and self._marks.of(path) is None
        mark = self._marks.of(path)
        if self._existing is Existing.APPEND:
            return mark is not None
        changed = mark is not None and mark.picture not in (None, state_of(Path(source)))
        return not (self._renew and changed)

    def _has_failed(self, source: str) -> bool:
        """Whether a failure is recorded, of the picture as it is now where that matters."""
        then, now = state_of(self._failure(source)), state_of(Path(source))
        if then is None or not self._renew:
            return then is not None
        return now is None or now[1] <= then[1]

    def _content(self, path: Path, caption: str) -> bytes:
        """Return what a sidecar is to hold."""
        if self._existing is not Existing.APPEND or not _has_text(path):
            return _encoded(caption)
        old = path.read_bytes()
        if old.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise UnwritableError(f"nothing can be added to {path}: it is UTF-16")
        return old.rstrip(b"\r\n") + b"\n" + _encoded(caption)

    def _put(self, path: Path, content: bytes, record: Record | None) -> None:
        """Write a file all at once, and mark it where it is a caption."""
        with naming(path):
            self._journal.making(path.parent)
            path.parent.mkdir(parents=True, exist_ok=True)
            if record is not None and record.result is not None:
                picture = Path("\0" if is_url(record.source) else record.source)
                self._marks.put(path, content, record.result.model, picture)
            self._journal.replacing(path, content)
            with replacing(path) as part:
                part.write_bytes(content)

    def _captions(self, source: str) -> Path:
        """Return the path of an image's sidecar, and take it for this image."""
        place = self._place(source)
        full = place.with_name(f"{place.name}{self._extension}")
        short = place.with_suffix(self._extension)
        # Of `a.txt`, if that is an image, `a.txt` would be the image itself.
        only_full = is_url(source) or short == place
        path = full if only_full else self._choose(source, full, short)
        self._owners.setdefault(path, source)
        return path

    def _choose(self, source: str, full: Path, short: Path) -> Path:
        if self._owners.get(short, source) != source or _has_text(full):
            return full
        image = Path(source)
        folder = self._folder(image.parent)
        if os.path.isfile(short):  # noqa: PTH113 - as `_is_there`
            # Of those that have no other, it is the one's that has been there longest.
            twins = [one for one in folder.of_stem(image.stem) if not _has_text(_full(short, one))]
            return short if folder.oldest([*twins, image.name]) == image.name else full
        return full if folder.may_collide(image) or _is_there(short) else short

    def _failure(self, source: str) -> Path:
        path = self._place(source)
        return path.with_name(f"{path.name}.error.txt")

    def _place(self, source: str) -> Path:
        """Return where the image would lie, were it where its sidecar is to lie."""
        if is_url(source):
            parts = urlsplit(source)
            name = f"{parts.path}?{parts.query}" if parts.query else parts.path
            path = Path(system_name(parts.netloc + name))
            return (self._root or Path()).joinpath(*map(_bounded, _inside(path)))
        path = Path(source)
        return path if self._root is None else self._root.joinpath(*_inside(path))

    def _folder(self, path: Path) -> _Folder:
        if path not in self._folders:
            self._folders[path] = _Folder.read(path)
        return self._folders[path]


@dataclass
class _Folder:
    """The images of a folder by their stems: exact, and as systems see them that ignore case."""

    path: Path
    names: set[str] = field(default_factory=set)
    stems: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def read(cls, path: Path) -> _Folder:
        """Read a folder; one that cannot be read has no images."""
        folder = cls(path)
        try:
            entries = [entry.name for entry in os.scandir(path)]
        except OSError:
            entries = []
        for name in map(Path, entries):
            if name.suffix.lower() in SUFFIXES:
                folder.names.add(name.name.casefold())
                folder.stems[name.stem.casefold()].append(name.name)
        return folder

    def of_stem(self, stem: str) -> list[str]:
        """Return the images whose short sidecar has that stem."""
        return [one for one in self.stems[stem.casefold()] if Path(one).stem == stem]

    def may_collide(self, image: Path) -> bool:
        """Whether the short sidecar of an image could be another's, short or full."""
        stem = image.stem.casefold()
        return stem in self.names or any(one != image.name for one in self.stems[stem])

    def oldest(self, images: list[str]) -> str:
        """Return the image that has been in the folder longest."""

        def since(name: str) -> tuple[int, str]:
            try:
                return os.stat(self.path / name).st_ctime_ns, name  # noqa: PTH116
            except OSError:
                return 0, name

        return min(images, key=since)


def _full(short: Path, image: str) -> Path:
    return short.with_name(f"{image}{short.suffix}")


def _inside(path: Path) -> list[str]:
    """Return the parts of a path that lead downwards."""
    return [part for part in path.parts if part not in (path.anchor, "..")]


def _bounded(part: str) -> str:
    """Return a piece of an address as a name that a file may have, its own for every piece."""
    data = os.fsencode(part)
    if len(data) <= _LONGEST_PART:
        return part
    mark = hashlib.sha256(data).hexdigest()[:16]
    begin = data[: _LONGEST_PART - 20].decode("utf-8", "ignore")  # no half of a letter
    return f"{system_name(begin)}-{mark}"


def _is_there(path: Path) -> bool:
    # Unlike Path.exists, which raises for a name that is too long.
    return os.path.exists(path)  # noqa: PTH110


def _has_text(path: Path) -> bool:
    """Whether a file has more in it than white space and byte order marks."""
    try:
        with path.open("rb") as file:
            start = file.read(4096)
    except OSError:
        return False
    for mark in _MARKS:
        start = start.removeprefix(mark)
    return bool(start.replace(b"\0", b"").strip())


def _encoded(text: str) -> bytes:
    return f"{text}\n".encode("utf-8", "surrogateescape")
