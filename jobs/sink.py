"""Writes rows as they come, and knows after any end, a kill too, which keys it holds.

The written rows are the only record of what is done, so that record and rows cannot disagree. A
row group or line counts once it is whole: Parquet parts get their name when they are complete, and
of JSON Lines the torn last line is cut off.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any, Self

import fsspec
import pyarrow as pa
import pyarrow.parquet
from pydantic import ValidationError

from jobs.results import SCHEMA, Job, KeySet, digest

PART_ROWS = 10_000
"""A part has at most about as many rows."""

_TORN = "_torn-"


class SinkError(ValueError):
    """The output cannot be written to. The message is one line for people."""


class Sink(ABC):
    """An output. Use as a context manager: leaving it, however, writes what is pending.

    Attributes:
        job: what its rows have in common; None while it is new.
        done: the keys it held when it was opened.
        written: rows added since.
        bad: how many of them are errors.
    """

    job: Job | None
    done: KeySet
    written = 0
    bad = 0

    def __init__(self, part_seconds: float) -> None:
        self._part_seconds = part_seconds
        self._held: set[bytes] = set()
        self._pending: list[dict[str, Any]] = []
        self._since = time.monotonic()

    @abstractmethod
    def start(self, job: Job) -> None:
        """Note what the rows will have in common."""

    @abstractmethod
    def _write(self, rows: list[dict[str, Any]]) -> None:
        """Make rows last."""

    @abstractmethod
    def _close(self) -> None:
        """Let go of files and locks."""

    def add(self, rows: list[dict[str, Any]]) -> None:
        """Take rows; a key that is there already is left out."""
        for row in rows:
            mark = digest(row["image"])
            if mark not in self._held and row["image"] not in self.done:
                self._held.add(mark)
                self._pending.append(row)
                self.written += 1
                self.bad += row["error"] is not None
        aged = time.monotonic() - self._since > self._part_seconds
        if len(self._pending) >= PART_ROWS or aged:
            self.flush()

    def flush(self) -> None:
        """Write what is pending."""
        if self._pending:
            self._write(self._pending)
        self._pending = []
        self._since = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.flush()
        finally:
            self._close()


def open_sink(output: str, part_seconds: float) -> Sink:
    """Open an output, new or begun.

    Args:
        output: `….parquet`, a folder of parts, local or any that fsspec knows; or a local
            `….jsonl`.
        part_seconds: rows wait at most so long for being written.

    Raises:
        SinkError: it is neither, is written to by another run, or is not ours.
    """
    if output.endswith(".parquet"):
        return ParquetSink(output, part_seconds)
    if output.endswith(".jsonl"):
        if "://" in output:
            raise SinkError(f"{output}: JSON Lines are written to local files only; use .parquet")
        return JsonLinesSink(Path(output), part_seconds)
    raise SinkError(f"{output}: the output ends in .parquet or .jsonl")


class ParquetSink(Sink):
    """A folder of Parquet parts, which every reader of Parquet takes for one table.

    Args:
        output: the folder.
        part_seconds: rows wait at most so long for being written.
    """

    def __init__(self, output: str, part_seconds: float) -> None:
        super().__init__(part_seconds)
        self._system, self._root = fsspec.core.url_to_fs(output)
        if self._system.isfile(self._root):
            raise SinkError(f"{output}: is a file, and a folder of parts is written")
        self._system.makedirs(self._root, exist_ok=True)
        # On a remote file system nobody can lock.
        local = "file" in _protocols(self._system)
        self._lock = _lock(Path(self._root) / "_lock", output) if local else None
        names = [PurePosixPath(path).name for path in self._system.ls(self._root, detail=False)]
        for name in names:
            if name.startswith(_TORN):
                self._system.rm(self._path(name))
        self._parts = sorted(name for name in names if name.endswith(".parquet") and name[0] != "_")
        self.job = self._read_job(output) if "_job.json" in names else None
        if self._parts and self.job is None:
            raise SinkError(f"{output}: holds Parquet files that are not of this command")
        self.done = KeySet(self._keys())
        last = self._parts[-1] if self._parts else "part-000000.parquet"
        self._number = int(last.removeprefix("part-").removesuffix(".parquet"))

    def start(self, job: Job) -> None:
        """Note what the rows will have in common."""
        self.job = job
        self._put("_job.json", job.model_dump_json(exclude_none=True).encode())

    def _write(self, rows: list[dict[str, Any]]) -> None:
        buffer = pa.BufferOutputStream()
        pyarrow.parquet.write_table(pa.Table.from_pylist(rows, SCHEMA), buffer)
        self._number += 1
        self._put(f"part-{self._number:06d}.parquet", buffer.getvalue().to_pybytes())

    def _put(self, name: str, content: bytes) -> None:
        """Write a file that has its name only when it is complete."""
        torn = self._path(_TORN + name)
        self._system.pipe_file(torn, content)
        self._system.mv(torn, self._path(name))

    def _read_job(self, output: str) -> Job:
        return _parse_job(self._system.cat_file(self._path("_job.json")), output)

    def _keys(self) -> Iterator[str]:
        for name in self._parts:
            with self._system.open(self._path(name)) as file:
                parquet = pyarrow.parquet.ParquetFile(file)
                if "image" not in parquet.schema_arrow.names:
                    raise SinkError(f"{self._path(name)}: an older version wrote it; begin anew")
                yield from parquet.read(columns=["image"])["image"].to_pylist()

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    def _close(self) -> None:
        if self._lock is not None:
            self._lock.close()


class JsonLinesSink(Sink):
    """One local file, a row a line. Beside it lies `….job.json`.

    Args:
        path: the file.
        part_seconds: rows wait at most so long for being written.
    """

    def __init__(self, path: Path, part_seconds: float) -> None:
        super().__init__(part_seconds)
        if path.is_dir():
            raise SinkError(f"{path}: is a folder, and a file is written")
        self._path, self._job_path = path, path.with_name(path.name + ".job.json")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = _lock(path, str(path))
        self.job = None
        if self._job_path.exists():
            self.job = _parse_job(self._job_path.read_bytes(), str(path))
        elif path.stat().st_size:
            raise SinkError(f"{path}: holds lines that are not of this command")
        self.done = KeySet(self._keys())

    def start(self, job: Job) -> None:
        """Note what the rows will have in common."""
        self.job = job
        torn = self._job_path.with_name(_TORN + self._job_path.name)
        torn.write_text(job.model_dump_json(exclude_none=True), encoding="utf-8")
        torn.replace(self._job_path)

    def _write(self, rows: list[dict[str, Any]]) -> None:
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        self._file.write(text.encode())
        self._file.flush()

    def _keys(self) -> Iterator[str]:
        """Yield the keys of whole lines; cut off what comes after them."""
        end = 0
        with self._path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                end += len(line)
                try:
                    yield json.loads(line)["image"]
                except (ValueError, KeyError, TypeError):
                    raise SinkError(f"{self._path}: holds a line that is no row") from None
        self._file.truncate(end)

    def _close(self) -> None:
        self._file.close()


def _parse_job(content: bytes, output: str) -> Job:
    try:
        return Job.model_validate_json(content)
    except ValidationError as error:
        raise SinkError(f"{output}: its job file cannot be read: {error}") from error


def _protocols(system: Any) -> tuple[str, ...]:
    found = system.protocol
    return (found,) if isinstance(found, str) else tuple(found)


def _lock(path: Path, output: str) -> IO[bytes]:
    """Open a file for appending that no other run has open."""
    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        with contextlib.suppress(OSError):
            file.close()
        raise SinkError(f"{output}: another run writes to it") from None
    return file
