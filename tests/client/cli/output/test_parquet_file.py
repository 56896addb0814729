"""Captions as a Parquet table."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow.parquet
import pytest

from jobs.results import SCHEMA
from tests.client.conftest import Captionbox
from tests.client.stand_in import StandIn, caption_of, picture


def test_a_table_that_is_taken_up_and_undone(
    captionbox: Captionbox, photos: Path, stand_in: StandIn
) -> None:
    (photos / "2.jpg").write_bytes(picture("BROKEN"))
    odd = Path(os.fsdecode(os.fsencode(photos) + b"/caf\xe9.jpg"))
    odd.write_bytes(picture("odd"))
    arguments = ("caption", "photos", "--num-captions", "2", "-o", "out.parquet")
    for limit in ("3", "9"):
        captionbox(*arguments, "--limit", limit, code=1)
    assert sum(stand_in.asked.values()) == 7
    rows = pyarrow.parquet.read_table(photos.parent / "out.parquet").to_pylist()
    found = {row["image"]: row for row in rows}
    assert len(found) == len(rows) == 7
    assert found["photos/2.jpg"]["error"] == "broken-image"
    assert found["photos/2.jpg"]["reason"] == "The picture is truncated."
    assert found["photos/caf\\udce9.jpg"]["caption"] == caption_of(picture("odd"))
    best = found["photos/0.jpg"]
    assert (best["caption"], best["confidence"]) == (caption_of(picture("0")), 0.5)
    assert best["alternatives"] == [{"caption": "Another, number 2.", "confidence": 0.25}]
    assert (best["model"], best["version"], best["error"]) == ("compact", "1.0.0", None)
    captionbox("undo")
    captionbox("undo")
    assert [path.name for path in photos.parent.iterdir()] == ["photos"]


def test_columns_are_those_of_jobs(captionbox: Captionbox, photos: Path) -> None:
    captionbox("caption", "photos", "-o", "out.parquet")
    schema = pyarrow.parquet.read_schema(photos.parent / "out.parquet")
    assert [(one.name, one.type) for one in schema] == [(one.name, one.type) for one in SCHEMA]


def test_it_needs_a_file(captionbox: Captionbox, photos: Path) -> None:
    assert b"needs --out" in captionbox("caption", "photos", "-f", "parquet", code=2).stderr


def test_without_pyarrow(
    captionbox: Captionbox, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("captionbox.cli.output.parquet_file.find_spec", lambda _: None)
    done = captionbox("caption", "photos", "-o", "out.parquet", code=2)
    assert b"captionbox[parquet]" in done.stderr
