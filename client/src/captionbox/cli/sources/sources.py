"""From what is given on the command line to single images: files, folders, globs, URLs."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

from captionbox.cli.sources.folders import Exclusions, is_left_out
from captionbox.images import SUFFIXES, is_url

# What would end an address in Markdown or HTML; none of it may stand in a URL as it is.
_NOT_IN_URLS = re.compile(r"""[\s()<>"'`\\^{|}\x00-\x1f\x7f]""")


def expand(
    argument: str, recursive: bool, excluded: Exclusions | None = None, *, patterns: bool = True
) -> Iterator[str]:
    """Yield the images that `argument` stands for, in order of their names.

    A file is taken whatever its name is, a missing one too: it is for the reader to say so. Of a
    folder, files with an image's suffix are taken; what is hidden, folders of systems and links to
    folders are not followed. A pattern (`*`, `?`, `[…]`, `**`) is tried where there is no file of
    that name; what it finds is under the same rules.

    Args:
        argument: a file, folder, pattern or URL.
        recursive: search the folders in a folder too.
        excluded: what is left out.
        patterns: whether `argument` may be a pattern. Of a list of names each is a name.
    """
    excluded = excluded or Exclusions()
    for source in _all_of(argument, recursive, excluded, patterns):
        if not excluded.cover(source):
            yield source


def _all_of(argument: str, recursive: bool, excluded: Exclusions, patterns: bool) -> Iterator[str]:
    if is_url(argument.strip()):
        yield tidy(argument.strip())
        return
    path = Path(argument)
    if path.is_dir():
        yield from _folder(path, recursive, excluded)
    elif patterns and glob.has_magic(argument) and not os.path.lexists(argument):
        for match in _matches(argument) or [argument]:
            if Path(match).is_dir():
                yield from _folder(Path(match), recursive, excluded)
            else:
                yield tidy(match)
    else:
        yield tidy(argument)


def _matches(pattern: str) -> list[str]:
    """Return what a pattern finds, in order; nothing in folders that are not searched."""
    parts = Path(pattern).parts
    meant = set(parts)
    begin = Path()
    for number, part in enumerate(parts):
        # A folder may have brackets in its own name.
        if glob.has_magic(part) and os.path.lexists(begin / part):
            parts = (*parts[:number], glob.escape(part), *parts[number + 1 :])
        begin /= part
    # pathlib's own glob takes no absolute patterns.
    found = sorted(glob.glob(str(Path(*parts)), recursive=True))  # noqa: PTH207
    return [one for one in found if not any(map(is_left_out, set(Path(one).parts) - meant))]


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
    return source if is_url(source) else os.path.abspath(system_name(source))  # noqa: PTH100


def system_name(name: str) -> str:
    """Return a name as this system has it: without UTF-8 it is not as in a file of ours."""
    return os.fsdecode(name.encode("utf-8", "surrogateescape"))


def _folder(folder: Path, recursive: bool, excluded: Exclusions) -> Iterator[str]:
    for place, folders, files in os.walk(folder):
        for name in sorted(files):
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                yield tidy(str(Path(place) / name))
        folders[:] = sorted(
            name
            for name in folders
            if recursive and not is_left_out(name) and not excluded.cover(str(Path(place) / name))
        )
