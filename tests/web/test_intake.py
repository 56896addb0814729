"""The ways in: choose, drag, drop a folder, paste, photograph."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.drawings import caption_of, draw, encode
from tests.server import Server
from tests.web.browsing import await_captions, captions, choose, drag
from tests.web.conftest import Opener, opener

Picture = Callable[..., Path]

_COPY = """async (base64) => {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const blob = new Blob([bytes], { type: "image/png" });
  await navigator.clipboard.write([new ClipboardItem({ "image/png": blob })]);
}"""


def test_five_chosen_files_get_five_captions(open_page: Opener, picture: Picture) -> None:
    names = ["red ring", "green bar", "blue square", "gold cross", "red cross"]
    page = open_page()
    choose(page, *(picture(name) for name in names))
    await_captions(page, 5)
    assert captions(page) == {f"{name}.png": caption_of(name) for name in names}
    assert "5 pictures captioned" in page.locator("#toolbar").inner_text()
    assert page.locator(".card img").first.get_attribute("alt") == caption_of("red ring")


def test_dragged_files(open_page: Opener, picture: Picture) -> None:
    page = open_page()
    drag(page, picture("red ring"), picture("blue bar"))
    await_captions(page, 2)
    assert captions(page) == {
        "red ring.png": caption_of("red ring"),
        "blue bar.png": caption_of("blue bar"),
    }
    assert page.locator("#dropping").is_hidden()


def test_a_dropped_folder_is_searched_and_other_files_are_left_out(
    open_page: Opener, picture: Picture, tmp_path: Path
) -> None:
    picture("green ring", "set/a.png")
    picture("gold bar", "set/deep/b.jpg")
    (tmp_path / "set" / "notes.txt").write_text("no picture")
    page = open_page()
    drag(page, tmp_path / "set")
    await_captions(page, 2)
    assert captions(page) == {
        "set/a.png": caption_of("green ring"),
        "set/deep/b.jpg": caption_of("gold bar"),
    }
    assert "notes.txt is not a picture and was left out." in page.locator("#banner").inner_text()


def test_pasted_picture(open_page: Opener) -> None:
    page = open_page(permissions=["clipboard-read", "clipboard-write"])
    page.evaluate(_COPY, base64.b64encode(encode(draw("gold square"))).decode())
    page.keyboard.press("Control+V")
    await_captions(page, 1)
    assert captions(page) == {"Pasted 1.png": caption_of("gold square")}


@pytest.fixture
def open_page_with_camera(chromium: Any, server: Server) -> Iterator[Opener]:
    """Return an `Opener` of a browser that has a camera, or pretends to."""
    pretend = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    browser = chromium(pretend)
    yield from opener(browser, server)
    browser.close()


def test_photograph_with_the_computers_camera(open_page_with_camera: Opener) -> None:
    page = open_page_with_camera()
    page.get_by_role("button", name="Take a photo").click()
    page.get_by_role("button", name="Take the photo").click()
    await_captions(page, 1)
    assert list(captions(page)) == ["Photo 1.jpg"]
    assert page.locator("dialog").count() == 0


def test_a_telephone_is_offered_its_own_camera(open_page: Opener, picture: Picture) -> None:
    page = open_page(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Take a photo").tap()
    assert chooser.value.element.get_attribute("capture") == "environment"
    chooser.value.set_files(picture("red bar"))
    await_captions(page, 1)
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width == 390, "the page scrolls sideways"


def test_transparency_is_flattened_onto_white_like_the_server_does(
    open_page: Opener, tmp_path: Path
) -> None:
    image = draw("blue cross", 1600).convert("RGBA")
    image.putalpha(255)
    path = tmp_path / "large.png"
    path.write_bytes(encode(image))
    page = open_page()
    choose(page, path)
    await_captions(page, 1)
    assert captions(page) == {"large.png": caption_of("blue cross")}
    assert "1600 × 1600" in page.locator(".card-head").inner_text()
