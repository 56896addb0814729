"""The outputs: whole rows only, each key once, whatever ended the run before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from jobs.results import SCHEMA, Job, KeySet
from jobs.sink import SinkError, open_sink
from models.api.options import CaptionOptions
from models.api.results import Caption

JOB = Job(model="compact", version="1", precision="fp32", options=CaptionOptions(num_beams=2))
CAPTIONS = [
    Caption(text="A dog.", log_prob=-1.0, confidence=0.5),
    Caption(text="A cat.", log_prob=-2.0, confidence=0.25),
]


def rows(*keys: str) -> list[dict[str, Any]]:
    return [JOB.row(key, CAPTIONS) for key in keys]


def content(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    found: list[dict[str, Any]] = pyarrow.parquet.read_table(path).to_pylist()
    return found


@pytest.fixture(params=["jsonl", "parquet"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / f"out.{request.param}"


def test_rows_are_read_back_and_gone_on_from(path: Path) -> None:
    with open_sink(str(path), 60) as sink:
        assert sink.job is None and len(sink.done) == 0
        sink.start(JOB)
        sink.add(rows("ä", "b", "ä"))
        sink.add([JOB.bad_row("c", "broken-image", "It is torn.")])
        assert (sink.written, sink.bad) == (3, 1)
    with open_sink(str(path), 0) as sink:
        assert sink.job == JOB
        assert "ä" in sink.done and "b" in sink.done and "c" in sink.done and "d" not in sink.done
        sink.add(rows("b", "d"))
        sink.add(rows("d", "e"))
    found = content(path)
    assert [row["image"] for row in found] == ["ä", "b", "c", "d", "e"]
    assert found[0] == {
        "image": "ä",
        "caption": "A dog.",
        "confidence": 0.5,
        "alternatives": [{"caption": "A cat.", "confidence": 0.25}],
        "model": "compact",
        "version": "1",
        "error": None,
        "reason": None,
    }
    assert (found[2]["caption"], found[2]["error"]) == (None, "broken-image")
    assert list(found[0]) == SCHEMA.names


def test_what_was_torn_is_not_counted(path: Path) -> None:
    with open_sink(str(path), 0) as sink:
        sink.start(JOB)
        sink.add(rows("a"))
    if path.suffix == ".jsonl":
        with path.open("ab") as file:
            file.write(b'{"image": "b", "capt')
    else:
        (path / "_torn-part-000002.parquet").write_bytes(b"PAR1")
    with open_sink(str(path), 0) as sink:
        assert "a" in sink.done and len(sink.done) == 1
        sink.add(rows("b"))
    assert [row["image"] for row in content(path)] == ["a", "b"]


def test_one_run_at_a_time(path: Path) -> None:
    with open_sink(str(path), 0), pytest.raises(SinkError, match="another run writes to it"):
        open_sink(str(path), 0)


def test_what_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    foreign = tmp_path / "notes.jsonl"
    foreign.write_text('{"text": 1}\n')
    with pytest.raises(SinkError, match="not of this command"):
        open_sink(str(foreign), 0)
    assert foreign.read_text() == '{"text": 1}\n'
    table = tmp_path / "table.parquet"
    table.mkdir()
    (table / "x.parquet").write_bytes(b"PAR1")
    with pytest.raises(SinkError, match="not of this command"):
        open_sink(str(table), 0)
    (tmp_path / "file.parquet").write_bytes(b"PAR1")
    with pytest.raises(SinkError, match="is a file"):
        open_sink(str(tmp_path / "file.parquet"), 0)
    with pytest.raises(SinkError, match=r"ends in \.parquet or \.jsonl"):
        open_sink("captions.csv", 0)
    with pytest.raises(SinkError, match="local files only"):
        open_sink("s3://bucket/captions.jsonl", 0)


def test_a_parquet_output_may_lie_on_any_file_system_of_fsspec() -> None:
    name = "memory://captions.parquet"
    with open_sink(name, 0) as sink:
        sink.start(JOB)
        sink.add(rows("a"))
    with open_sink(name, 0) as sink:
        assert sink.job == JOB and "a" in sink.done and len(sink.done) == 1


def test_a_set_of_keys_knows_its_own_and_no_others() -> None:
    keys = [f"key {number}" for number in range(1000)]
    found = KeySet(keys[::2])
    assert [key in found for key in keys] == [number % 2 == 0 for number in range(1000)]
    assert "x" not in KeySet()
