"""Files that are replaced all at once: as they were, or as they are to be, never in between."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a file beside `path` to write to; put it in the place of `path` if that went well.

    Where it did not, nothing of it stays; where the process was killed, the next run writes over
    what is left.
    """
    part = path.with_name(f".{path.name}.captionbox-part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
