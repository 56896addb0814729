"""What is downloaded, read back with other programs."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.drawings import caption_of
from tests.web.browsing import await_captions, card, choose
from tests.web.conftest import Opener
from tests.web.test_access import PHONE

Picture = Callable[..., Path]
EDITED = 'Ümlaut, "quotes" and = signs'


def test_downloads(open_page: Opener, picture: Picture, broken: Path) -> None:
    page = open_page(refusals=True)
    files = [picture("red ring", "one/a.png"), picture("blue bar", "two/a.jpg")]
    choose(page, *files, picture("gold bar", "täg, 1.png"), broken)
    await_captions(page, 3)
    card(page, "täg, 1.png").get_by_role("button", name="Edit").click()
    page.get_by_label("Caption", exact=True).fill(EDITED)
    page.keyboard.press("Enter")
    check_csv(_download(page, "Table"))
    check_jsonl(_download(page, "JSON Lines"))
    check_sidecars(_download(page, "Text files"))


def test_a_telephones_downloads_lie_on_top(open_page: Opener, picture: Picture) -> None:
    page = open_page(**PHONE)
    choose(page, picture("red ring"))
    await_captions(page, 1)
    page.locator(".menu summary").click()
    menu = page.locator(".menu-items").bounding_box()
    assert menu["x"] >= 0 and menu["x"] + menu["width"] <= PHONE["viewport"]["width"]
    page.keyboard.press("Escape")
    # A click that something else would take fails.
    files = zipfile.ZipFile(io.BytesIO(_download(page, "Text files"))).namelist()
    assert files == ["red ring.txt"]


def _download(page: Any, kind: str) -> bytes:
    page.locator(".menu summary").click()
    with page.expect_download() as download:
        page.get_by_role("button", name=kind).click()
    return Path(download.value.path()).read_bytes()


def check_csv(content: bytes) -> None:
    text = content.decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    assert [row["file"] for row in rows] == ["a.png", "a.jpg", "täg, 1.png", "broken.jpg"]
    first, _, edited, failed = rows
    assert (first["caption"], first["model"]) == (caption_of("red ring"), "compact")
    assert 0 < float(first["confidence"]) <= 1
    assert len(first["alternatives"].split(" | ")) == 2
    assert (edited["caption"], edited["edited"], edited["confidence"]) == (EDITED, "true", "")
    assert failed["caption"] == "" and "truncated" in failed["error"]


def check_jsonl(content: bytes) -> None:
    rows = [json.loads(line) for line in content.decode().splitlines()]
    assert [row["file"] for row in rows] == ["a.png", "a.jpg", "täg, 1.png", "broken.jpg"]
    first, _, edited, failed = rows
    assert (first["width"], first["height"], first["version"]) == (96, 96, "test")
    assert len(first["captions"]) == 3
    assert set(first["captions"][0]) == {"text", "confidence", "log_prob"}
    assert first["captions"][0]["text"] == first["caption"] == caption_of("red ring")
    assert edited["caption"] == EDITED and edited["edited"]
    assert failed["captions"] == [] and "truncated" in failed["error"]


def check_sidecars(content: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        files = {name: archive.read(name).decode() for name in archive.namelist()}
    assert files == {
        "a.txt": f"{caption_of('red ring')}\n",
        "a-2.txt": f"{caption_of('blue bar')}\n",
        "täg, 1.txt": f"{EDITED}\n",
    }
