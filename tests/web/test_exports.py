"""What is downloaded, read back with other programs."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.drawings import caption_of
from tests.web.browsing import await_captions, card, choose
from tests.web.conftest import Opener

Picture = Callable[..., Path]
EDITED = 'Ümlaut, "quotes" and = signs'


@pytest.fixture
def page(open_page: Opener, picture: Picture, broken: Path) -> Any:
    """Return a page with three captions, one of them edited, and a failure."""
    page = open_page(refusals=True)
    files = [picture("red ring", "one/a.png"), picture("blue bar", "two/a.jpg")]
    choose(page, *files, picture("gold bar", "täg, 1.png"), broken)
    await_captions(page, 3)
    card(page, "täg, 1.png").get_by_role("button", name="Edit").click()
    page.get_by_label("Caption", exact=True).fill(EDITED)
    page.keyboard.press("Enter")
    return page


def _download(page: Any, kind: str) -> bytes:
    page.locator(".menu summary").click()
    with page.expect_download() as download:
        page.get_by_role("button", name=kind).click()
    return Path(download.value.path()).read_bytes()


def test_csv(page: Any) -> None:
    text = _download(page, "Table").decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    assert [row["file"] for row in rows] == ["a.png", "a.jpg", "täg, 1.png", "broken.jpg"]
    first, _, edited, failed = rows
    assert (first["caption"], first["model"]) == (caption_of("red ring"), "compact")
    assert 0 < float(first["confidence"]) <= 1
    assert len(first["alternatives"].split(" | ")) == 2
    assert (edited["caption"], edited["edited"], edited["confidence"]) == (EDITED, "true", "")
    assert failed["caption"] == "" and "truncated" in failed["error"]


def test_jsonl(page: Any) -> None:
    lines = _download(page, "JSON Lines").decode().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["file"] for row in rows] == ["a.png", "a.jpg", "täg, 1.png", "broken.jpg"]
    first, _, edited, failed = rows
    assert (first["width"], first["height"], first["version"]) == (96, 96, "test")
    assert len(first["captions"]) == 3
    assert set(first["captions"][0]) == {"text", "confidence", "log_prob"}
    assert first["captions"][0]["text"] == first["caption"] == caption_of("red ring")
    assert edited["caption"] == EDITED and edited["edited"]
    assert failed["captions"] == [] and "truncated" in failed["error"]


def test_zip_of_sidecars(page: Any) -> None:
    with zipfile.ZipFile(io.BytesIO(_download(page, "Text files"))) as archive:
        assert archive.testzip() is None
        files = {name: archive.read(name).decode() for name in archive.namelist()}
    assert files == {
        "a.txt": f"{caption_of('red ring')}\n",
        "a-2.txt": f"{caption_of('blue bar')}\n",
        "täg, 1.txt": f"{EDITED}\n",
    }
