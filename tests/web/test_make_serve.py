"""`make serve`, open the address, drop five photos: five captions."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.making import MadeServer
from tests.server import Server
from tests.web.browsing import await_captions, captions, card, drag, expect
from tests.web.conftest import Opener, opener
from tests.web.scenes import SCENES

# How dark the picture is drawn where it is lightest and where it is darkest, 0 to 255.
_DARKNESS = """(canvas) => {
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d");
  copy.drawImage(canvas, 0, 0);
  const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
  const darkness = data.filter((_, index) => index % 4 === 3);
  return [Math.min(...darkness), Math.max(...darkness)];
}"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if shutil.which("make") is None:
        pytest.skip("no make: Debian's package `make`")
    folder = tmp_path_factory.mktemp("made")
    server = MadeServer(folder / "bentoml", folder / "server.log")
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def open_made(browser: Any, made: Server) -> Iterator[Opener]:
    yield from opener(browser, made)


def test_five_photos_dropped_are_five_captions(
    open_made: Opener, made: Server, tmp_path: Path, chromium: Callable[..., Any]
) -> None:
    photos = []
    for scene in SCENES[:5]:
        photos.append(tmp_path / f"{scene.__name__}.jpg")
        scene().save(photos[-1], quality=90)
    page = open_made()
    drag(page, *photos)
    await_captions(page, 5)
    found = captions(page)
    assert set(found) == {photo.name for photo in photos}
    for text in found.values():
        assert re.fullmatch(r"[A-Z][^.]{8,}\.", text), text
    assert len(set(found.values())) > 1
    expect(page.locator("#toolbar")).to_contain_text("5 pictures captioned")
    # The page adds nothing of its own: the interface says the same of the same file.
    for photo in photos:
        answer = httpx.post(f"{made.url}/caption", files={"image": photo.read_bytes()}, timeout=60)
        assert answer.json()["captions"][0]["text"] == found[photo.name]
    see_where_it_looked(page, photos[0])


def see_where_it_looked(page: Any, photo: Path) -> None:
    """Point at a word of a caption; the real model's map of it is drawn over the picture."""
    first = card(page, photo.name)
    with page.expect_response("**/caption") as response:
        first.locator(".caption").hover()
    words = response.value.json()["captions"][0]["words"]
    expect(first.locator(".word")).to_have_count(len(words))
    first.locator(".word").last.hover()
    expect(first.locator("canvas")).to_have_class("shown")
    expect(first.locator(".looked")).to_contain_text(f"“{words[-1]['word']}”")
    least, most = first.locator("canvas").evaluate(_DARKNESS)
    assert least < 30 and most > 120, "it is as dark everywhere"
