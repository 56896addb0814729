"""Captions in text files next to their images: `photo.jpg` gets `photo.txt`.

A sidecar appears complete or not at all, so its being there is the record that its image is done.
"""

from __future__ import annotations

import os
from collections import Counter
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from captionbox.cli.output.formats import Past, Record
from captionbox.cli.output.part_file import replacing
from captionbox.images import SUFFIXES, is_url


class Sidecars:
    """Text files with captions, one an image.

    `photo.txt`, or `photo.jpg.txt` where another image of the folder has the same stem. What failed
    gets `photo.jpg.error.txt` with the reason. An image on the web lies in a folder that is named
    after its host.

    Args:
        root: put them under this folder, in the images' own folder structure; next to the images if
            it is None.
        keep: images that have a sidecar, whoever wrote it, are done.
        retry_failed: images whose failure is recorded are not.
    """

    def __init__(self, root: Path | None, keep: bool, retry_failed: bool) -> None:
        self._root, self._keep, self._retry_failed = root, keep, retry_failed

    def past(self, source: str) -> Past:
        """Return whether that image has a sidecar, or a record of its failure."""
        if self._keep and self._captions(source).exists():
            return Past.CAPTIONED
        if self._keep and not self._retry_failed and self._failure(source).exists():
            return Past.FAILED
        return Past.NEW

    def write(self, record: Record) -> None:
        """Write a record's sidecar."""
        if record.error is not None:
            _put(self._failure(record.source), record.reason)
            return
        _put(self._captions(record.source), record.caption)
        self._failure(record.source).unlink(missing_ok=True)

    def close(self) -> None:
        """Nothing is open."""

    def _captions(self, source: str) -> Path:
        path = self._place(source)
        twins = is_url(source) or _stems(Path(source).parent)[path.stem] > 1
        return path.with_name(f"{path.name}.txt") if twins else path.with_suffix(".txt")

    def _failure(self, source: str) -> Path:
        path = self._place(source)
        return path.with_name(f"{path.name}.error.txt")

    def _place(self, source: str) -> Path:
        """Return where the image would lie, were it where its sidecar is to lie."""
        if is_url(source):
            parts = urlsplit(source)
            name = f"{parts.path}?{parts.query}" if parts.query else parts.path
            path = Path(parts.netloc + name)
            return (self._root or Path()).joinpath(*_inside(path))
        path = Path(source)
        return path if self._root is None else self._root.joinpath(*_inside(path))


def _inside(path: Path) -> list[str]:
    """Return the parts of a path that lead downwards."""
    return [part for part in path.parts if part not in (path.anchor, "..")]


@lru_cache(maxsize=64)
def _stems(folder: Path) -> Counter[str]:
    """Return how many images of a folder have each stem."""
    try:
        names = [Path(entry.name) for entry in os.scandir(folder)]
    except OSError:
        names = []
    return Counter(name.stem for name in names if name.suffix.lower() in SUFFIXES)


def _put(path: Path, text: str) -> None:
    """Write a file all at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        part.write_text(text + "\n", encoding="utf-8", errors="surrogateescape")
