"""Reads units of a source, on whichever machine: keys and the bytes of pictures, undecoded."""

from __future__ import annotations

import asyncio
import logging
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet

from jobs.results import UNREADABLE, KeySet
from jobs.sources import Columns, Unit, is_picture
from serving.base.problems import Problem
from serving.base.settings import Settings
from serving.pictures.fetch import Fetcher

logger = logging.getLogger(__name__)

_FETCHED_AT_ONCE = 32
_ROWS_AT_ONCE = 64


@dataclass(frozen=True)
class Encoded:
    """A picture as it was found.

    Attributes:
        key: its key.
        data: the file's content; None where it could not be had.
        error: then what kind of problem it is, and
        reason: the problem in words.
    """

    key: str
    data: bytes | None
    error: str | None = None
    reason: str | None = None


class Reader:
    """Reads units.

    Args:
        settings: the server's: most bytes of a picture, and which addresses are asked.
        columns: of Parquet files.
        done: keys that are not read again.
    """

    def __init__(self, settings: Settings, columns: Columns, done: KeySet) -> None:
        # Whoever lists addresses wants them fetched; where they may lead is still guarded.
        self._settings = settings.model_copy(update={"allow_urls": True})
        self._columns, self._done = columns, done

    def read(self, units: Sequence[Unit]) -> Iterator[list[Encoded]]:
        """Yield the units' pictures, some at a time; what cannot be read is told in its place."""
        files = [unit for unit in units if unit.kind == "file" and unit.key not in self._done]
        if files:
            yield self._get([(unit.key, unit.location) for unit in files])
        for unit in units:
            if unit.kind == "rows":
                yield from self._rows(unit)
            elif unit.kind == "tar":
                yield from self._members(unit)

    def _get(self, wanted: Sequence[tuple[str, str]]) -> list[Encoded]:
        """Return what lies at `(key, location)`s, in order."""
        return asyncio.run(self._gather(wanted))

    async def _gather(self, wanted: Sequence[tuple[str, str]]) -> list[Encoded]:
        fetcher, turns = Fetcher(self._settings), asyncio.Semaphore(_FETCHED_AT_ONCE)

        async def one(key: str, location: str) -> Encoded:
            async with turns:
                try:
                    if location.lower().startswith(("http://", "https://", "data:")):
                        return Encoded(key, await fetcher.fetch(location))
                    return self._sized(key, await asyncio.to_thread(self._open, location))
                except Problem as problem:
                    return Encoded(key, None, problem.type_slug, problem.detail)
                except Exception as error:  # each file system of fsspec raises errors of its own
                    return Encoded(key, None, UNREADABLE, f"{type(error).__name__}: {error}")

        try:
            return list(await asyncio.gather(*(one(*pair) for pair in wanted)))
        finally:
            await fetcher.close()

    def _open(self, location: str) -> bytes:
        system, path = fsspec.core.url_to_fs(location)
        content: bytes = system.cat_file(path, start=0, end=self._settings.max_upload_bytes + 1)
        return content

    def _sized(self, key: str, data: bytes) -> Encoded:
        if len(data) <= self._settings.max_upload_bytes:
            return Encoded(key, data)
        limit = self._settings.max_upload_mb
        return Encoded(key, None, "too-large", f"The picture has more than {limit:g} MiB.")

    def _rows(self, unit: Unit) -> Iterator[list[Encoded]]:
        image, key = self._columns.image, self._columns.key
        row = unit.first_row
        with fsspec.open(unit.location, "rb") as file:
            parquet = pyarrow.parquet.ParquetFile(file)
            batches = parquet.iter_batches(
                _ROWS_AT_ONCE, [unit.group], columns=list(filter(None, (image, key)))
            )
            for batch in batches:
                keys = batch.column(key).to_pylist() if key else [None] * len(batch)
                pairs = []
                for offset, own in enumerate(keys):
                    name = f"{unit.key}/{row + offset}" if own is None else str(own)
                    if name not in self._done:
                        pairs.append((name, offset))
                yield self._cells(pairs, batch.column(image))
                row += len(batch)

    def _cells(self, pairs: Sequence[tuple[str, int]], column: pa.Array) -> list[Encoded]:
        found: dict[str, Encoded] = {}
        elsewhere = []
        for key, offset in pairs:
            value: Any = column[offset].as_py()
            if isinstance(value, dict):
                value = value.get("bytes") or value.get("path")
            if isinstance(value, str):
                elsewhere.append((key, value))
            elif isinstance(value, bytes):
                found[key] = self._sized(key, value)
            else:
                found[key] = Encoded(key, None, UNREADABLE, "The row holds no picture.")
        if elsewhere:
            found.update((it.key, it) for it in self._get(elsewhere))
        return [found[key] for key, _ in pairs]

    def _members(self, unit: Unit) -> Iterator[list[Encoded]]:
        found: list[Encoded] = []
        limit, pictures, fault = self._settings.max_upload_bytes, 0, ""
        try:
            with (
                fsspec.open(unit.location, "rb") as file,
                tarfile.open(fileobj=file, mode="r|*") as archive,
            ):
                for member in archive:
                    if not member.isfile() or not is_picture(member.name):
                        continue
                    pictures += 1
                    key = f"{unit.key}/{member.name}"
                    if key in self._done:
                        continue
                    content = archive.extractfile(member)
                    found.append(self._sized(key, content.read(limit + 1) if content else b""))
                    if len(found) == _ROWS_AT_ONCE:
                        yield found
                        found = []
        except (tarfile.TarError, EOFError, OSError) as error:
            # The pictures up to here are good.
            fault = f"The archive is damaged: {error}"
        if not pictures and not fault:
            fault = "The archive holds no picture."
        if fault and unit.key not in self._done:
            found.append(Encoded(unit.key, None, UNREADABLE, fault))
        if found:
            yield found
