"""Files that are replaced all at once: as they were, or as they are to be, never in between."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

_LONGEST_NAME = 255
# What a file system says to a name that it cannot have, whatever else it could write.
_NOT_SUCH_A_NAME = frozenset(
    {errno.ENAMETOOLONG, errno.EILSEQ, errno.EISDIR, errno.ENOTDIR, errno.EEXIST}
)


class UnwritableError(Exception):
    """No file of that name can be there; others can. The message says why."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a file beside `path` to write to; put it in the place of `path` if that went well.

    Where it did not, nothing of it stays; where the process was killed, the next run writes over
    what is left.
    """
    part = part_of(path)
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def settle(file: IO[bytes]) -> None:
    """See to it that what was written survives the end of the machine, where that is possible."""
    try:
        os.fsync(file.fileno())
    except OSError as error:
        # Pipes, devices and some network file systems cannot tell.
        if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            raise


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn errors that concern the name of `path` only into UnwritableError."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NOT_SUCH_A_NAME:
            raise
        raise UnwritableError(f"cannot write {path}: {error.strerror}") from error


def part_of(path: Path) -> Path:
    """Return the file beside `path` that is written before it takes its place."""
    part = path.with_name(f".{path.name}.captionbox-part")
    if len(os.fsencode(part.name)) <= _LONGEST_NAME:
        return part
    mark = hashlib.sha256(os.fsencode(path.name)).hexdigest()
    return path.with_name(f".{mark}.captionbox-part")
