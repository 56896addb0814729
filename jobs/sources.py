"""Where pictures come from: folders, lists of addresses, Parquet files, WebDataset tars.

A source is listed once, where the job was started, as small units of work; the units are read
anywhere (`jobs.reading`). Every path may be local or any that fsspec knows (`s3://…`, `gs://…`).
Which folders are left out and how a list is encoded is the client's rule, for both commands.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

import fsspec
import pyarrow.parquet
from captionbox.cli.sources.folders import is_left_out
from captionbox.cli.sources.lists import Lines, ListError

from models.pictures.kinds import endings

logger = logging.getLogger(__name__)

Kind = Literal["file", "rows", "tar"]

_TARS = (".tar", ".tar.gz", ".tgz")
_PIECE = 1024 * 1024


class SourceError(ValueError):
    """An input cannot be used. The message is one line for people."""


@dataclass(frozen=True)
class Unit:
    """A piece of the input that is read at once.

    Attributes:
        kind: `file` is one picture, `rows` a row group of a Parquet file, `tar` a whole archive.
        key: the picture's key, or the prefix of its pictures' keys.
        location: path or address.
        group: number of the row group.
        first_row: number of its first row in the file.
    """

    kind: Kind
    key: str
    location: str
    group: int = 0
    first_row: int = 0


@dataclass(frozen=True)
class Listing:
    """What the inputs hold.

    Attributes:
        units: in the order of the inputs.
        pictures: how many there are; None where only reading tells.
    """

    units: list[Unit]
    pictures: int | None


@dataclass(frozen=True)
class Columns:
    """The columns of Parquet files that matter.

    Attributes:
        image: bytes, a struct with `bytes` or `path`, or an address.
        key: the rows' keys; empty: file name and row number.
    """

    image: str = "image"
    key: str = ""


def list_inputs(inputs: Sequence[str], columns: Columns) -> Listing:
    """List the units of the inputs, all of one kind.

    Keys are stable from run to run: in a folder, the path below it; in a list, the line; in a
    Parquet file or an archive, its name and the row's number or the member's name, unless the row
    names its own. With several folders their names come first. An input without pictures is told of
    where others have some.

    Raises:
        SourceError: an input does not exist, holds no pictures, lacks a column, or two inputs would
            have the same keys.
    """
    kinds = {_kind(text) for text in inputs}
    if len(kinds) > 1:
        raise SourceError(f"inputs of one kind at a time, got {' and '.join(sorted(kinds))}")
    names = [PurePosixPath(text.rstrip("/")).name for text in inputs]
    for name in names:
        if names.count(name) > 1:
            raise SourceError(f"two inputs are called {name!r}: their keys could not be told apart")
    kind = kinds.pop()
    units: list[Unit] = []
    empty: list[str] = []
    pictures: int | None = 0
    for text, name in zip(inputs, names, strict=True):
        if kind == "tar":
            units.append(Unit("tar", name, text))
            pictures = None
            continue
        if kind == "parquet":
            found, rows = _row_groups(text, name, columns)
        else:
            prefix = name + "/" if len(inputs) > 1 else ""
            found = list(_folder(text, prefix) if kind == "folder" else _lines(text))
            rows = len(found)
        units += found
        pictures = (pictures or 0) + rows
        if not rows:
            empty.append(text)
    if len(empty) == len(inputs):
        raise SourceError(f"no pictures in {', '.join(inputs)}")
    for text in empty:
        logger.warning("no pictures in %s", text)
    return Listing(units, pictures)


def is_picture(name: str) -> bool:
    """Whether a path in a folder or an archive is that of a picture.

    Hidden files are none, nor is what lies in folders that are hidden or a system's.
    """
    path = PurePosixPath(name)
    if path.suffix.lower() not in endings() or path.name.startswith("."):
        return False
    return not any(is_left_out(folder) for folder in path.parts[:-1] if folder != "..")


def _kind(text: str) -> str:
    try:
        system, path = fsspec.core.url_to_fs(text)
        if system.isdir(path):
            return "folder"
        if not system.exists(path):
            raise SourceError(f"{text}: there is no such file or folder")
    except (OSError, ValueError, ImportError) as error:
        if isinstance(error, SourceError):
            raise
        raise SourceError(f"{text}: cannot be read: {error}") from error
    name = text.lower()
    if name.endswith(".parquet"):
        return "parquet"
    if name.endswith(_TARS):
        return "tar"
    if name.endswith((".txt", ".lst", ".csv")):
        return "list"
    raise SourceError(f"{text}: neither a folder nor a .txt, .parquet, .tar or .tar.gz file")


def _folder(text: str, prefix: str) -> Iterator[Unit]:
    system, root = fsspec.core.url_to_fs(text)
    root = root.rstrip("/")
    for path in sorted(system.find(root)):
        below = path[len(root) :].lstrip("/")
        if is_picture(below):
            yield Unit("file", prefix + below, system.unstrip_protocol(path))


def _lines(text: str) -> Iterator[Unit]:
    for line in _read_lines(text):
        address = line.strip()
        try:
            address.encode()
        except UnicodeEncodeError:  # it would be no key
            raise SourceError(f"{text}: not UTF-8: {address!r:.80}") from None
        if not address.startswith("#"):
            yield Unit("file", address, address)


def _read_lines(text: str) -> Iterator[str]:
    lines = Lines()
    try:
        with fsspec.open(text, "rb") as file:
            while piece := file.read(_PIECE):
                yield from lines.feed(piece)
        yield from lines.end()
    except ListError as error:
        raise SourceError(f"{text}: {error}") from error


def _row_groups(text: str, name: str, columns: Columns) -> tuple[list[Unit], int]:
    """Return the row groups of a Parquet file and how many rows they have together."""
    with fsspec.open(text, "rb") as file:
        try:
            parquet = pyarrow.parquet.ParquetFile(file)
        except (pyarrow.ArrowInvalid, OSError) as error:
            raise SourceError(f"{text}: not a Parquet file: {error}") from error
        for column in filter(None, (columns.image, columns.key)):
            if column not in parquet.schema_arrow.names:
                there = ", ".join(parquet.schema_arrow.names)
                raise SourceError(f"{text}: no column {column!r}; there are: {there}")
        units, first = [], 0
        for group in range(parquet.metadata.num_row_groups):
            units.append(Unit("rows", name, text, group, first))
            first += parquet.metadata.row_group(group).num_rows
        return units, first
