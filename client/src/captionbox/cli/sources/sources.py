"""From what is given on the command line to single images: files, folders, globs, URLs."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

from captionbox.images import SUFFIXES, is_url

# What would end an address in Markdown or HTML; none of it may stand in a URL as it is.
_NOT_IN_URLS = re.compile(r"""[\s()<>"'`\\^{|}\x00-\x1f\x7f]""")


def expand(argument: str, recursive: bool) -> Iterator[str]:
    """Yield the images that `argument` stands for, in order of their names.

    A file is taken whatever its name is, a missing one too: it is for the reader to say so. Of a
    folder, files with an image's suffix are taken, hidden ones not; links to folders are not
    followed. A pattern (`*`, `?`, `[…]`, `**`) is tried where there is no file of that name.

    Args:
        argument: a file, folder, pattern or URL.
        recursive: search the folders in a folder too.
    """
    if is_url(argument):
        yield tidy(argument)
        return
    path = Path(argument)
    if path.is_dir():
        yield from _folder(path, recursive)
    elif glob.has_magic(argument) and not os.path.lexists(argument):
        # pathlib's own glob takes no absolute patterns.
        matches = sorted(glob.glob(argument, recursive=True))  # noqa: PTH207
        for match in matches or [argument]:
            if Path(match).is_dir():
                yield from _folder(Path(match), recursive)
            else:
                yield tidy(match)
    else:
        yield tidy(argument)


def once(sources: Iterable[str]) -> Iterator[str]:
    """Yield every source once, however often and under how many spellings it is given."""
    seen: set[str] = set()
    for source in sources:
        key = identity(source)
        if key not in seen:
            seen.add(key)
            yield source


def tidy(source: str) -> str:
    """Return the spelling of a source under which it is recorded."""
    if is_url(source):
        return _NOT_IN_URLS.sub(lambda match: quote(match[0], safe=""), source)
    return os.path.normpath(source)


def identity(source: str) -> str:
    """Return what is the same for all spellings of a source, from the current folder."""
    # Not Path.resolve: two links to one picture are two pictures to be captioned.
    return source if is_url(source) else os.path.abspath(source)  # noqa: PTH100


def _folder(folder: Path, recursive: bool) -> Iterator[str]:
    for place, folders, files in os.walk(folder):
        for name in sorted(files):
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                yield tidy(str(Path(place) / name))
        folders[:] = sorted(name for name in folders if not name.startswith(".") and recursive)
