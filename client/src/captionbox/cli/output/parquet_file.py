"""Captions as a Parquet table, for pandas, DuckDB and the like.

Parquet cannot be added to line by line. So the records are kept as JSON lines in a file beside it,
`captions.parquet.jsonl`, which is what a run is taken up from; the table is made of them when the
run ends, however that is, short of a kill.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from captionbox.cli.output.endings import UsageError
from captionbox.cli.output.formats import Jsonl, Past, Record
from captionbox.cli.output.journal import Journal
from captionbox.cli.output.part_file import replacing
from captionbox.cli.output.record_file import RecordFile

if TYPE_CHECKING:
    import pyarrow as pa

_AT_ONCE = 10_000


class ParquetFile:
    """Records in a Parquet file.

    Args:
        path: the file.
        keep: as `RecordFile`.
        retry_failed: as `RecordFile`.
        journal: as `RecordFile`.

    Raises:
        UsageError: pyarrow is not installed.
        RecordFileError: as `RecordFile`.
    """

    def __init__(self, path: Path, keep: bool, retry_failed: bool, journal: Journal) -> None:
        if find_spec("pyarrow") is None:
            raise UsageError("pyarrow is not installed: pip install 'captionbox[parquet]'")
        self._path, self._journal = path, journal
        self._lines = path.with_name(f"{path.name}.jsonl")
        self._file = RecordFile(self._lines, Jsonl(), keep, retry_failed, journal)

    def past(self, source: str) -> Past:
        """Return what the record of that image says, if there is one."""
        return self._file.past(source)

    def write(self, record: Record) -> None:
        """Add a record."""
        self._file.write(record)

    def close(self) -> None:
        """Make the table of all records."""
        import pyarrow.parquet

        self._file.close()
        with replacing(self._path) as part:
            with pyarrow.parquet.ParquetWriter(part, schema()) as writer:
                for rows in self._rows():
                    writer.write_table(pyarrow.Table.from_pylist(rows, schema()))
            self._journal.replacing(self._path, part.read_bytes())

    def _rows(self) -> Iterator[list[dict[str, Any]]]:
        rows: list[dict[str, Any]] = []
        with self._lines.open(encoding="utf-8") as file:
            for line in file:
                rows.append(_row(json.loads(line)))
                if len(rows) == _AT_ONCE:
                    yield rows
                    rows = []
        yield rows


def schema() -> pa.Schema:
    """Return the columns of the table; jobs over data sets have the same."""
    import pyarrow as pa

    other = pa.struct([("caption", pa.string()), ("confidence", pa.float64())])
    return pa.schema(
        [
            pa.field("image", pa.string(), nullable=False),
            pa.field("caption", pa.string()),
            pa.field("confidence", pa.float64()),
            pa.field("alternatives", pa.list_(other)),
            pa.field("model", pa.string()),
            pa.field("version", pa.string()),
            pa.field("error", pa.string()),
            pa.field("reason", pa.string()),
        ]
    )


def _row(record: dict[str, Any]) -> dict[str, Any]:
    """Return a row for a line of JSON; what it has no column for is left out."""
    # A name that is no valid text has no place in a column of text; its escapes have.
    image = record.get("image", record.get("source", ""))
    row = record | {"image": image.encode("utf-8", "backslashreplace").decode()}
    if "error" in record:
        error = record["error"]
        row["error"] = str(error.get("type", "unreadable")).rpartition("/")[2]
        row["reason"] = error.get("detail") or error.get("title")
    return row
