"""Sets of pictures: broken ones among them, cancelling, large files, two hundred at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.drawings import NAMES, caption_of, encode
from tests.faults import RAISING, SLOW
from tests.server import Server
from tests.web.browsing import WATCH_URLS, Held, await_captions, captions, card, choose, expect
from tests.web.conftest import Opener, opener

Picture = Callable[..., Path]


def _width_sent(request: Any) -> int:
    """Return the width that the server found the request's picture to have."""
    width: int = request.response().json()["image"]["width"]
    return width


def test_one_broken_file_leaves_the_others_alone(
    open_page: Opener, picture: Picture, broken: Path
) -> None:
    page = open_page(refusals=True)
    choose(page, picture("red ring"), broken, picture("blue bar"))
    await_captions(page, 2)
    failed = card(page, "broken.jpg")
    for said in ("Broken image", "truncated: its data ends early", "save it anew"):
        expect(failed).to_contain_text(said)
    expect(page.locator("#toolbar")).to_contain_text("2 pictures captioned, 1 failed")
    with page.expect_request("**/caption") as again:
        page.get_by_role("button", name="Retry 1 failed").click()
    assert again.value.response().status == 422
    expect(failed).to_contain_text("Broken image")
    failed.get_by_role("button", name="Remove").click()
    expect(page.locator(".card")).to_have_count(2)
    # The keyboard's place is kept: on what is next in the list.
    focused = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert focused == "Remove blue bar.png"


def test_cancel_and_go_on(open_page: Opener, picture: Picture) -> None:
    page = open_page()
    held = Held(page)
    choose(page, *(picture(name) for name in NAMES[:6]))
    expect(page.locator("[data-state=working]")).to_have_count(4)
    expect(page.locator("#toolbar")).to_contain_text("Captioned 0 of 6")
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.locator("[data-state=cancelled]")).to_have_count(6)
    assert len(held.routes) == 4, "more requests at a time than the page promises"
    held.let_new_ones_pass()
    page.get_by_role("button", name="Caption 6 left").click()
    await_captions(page, 6)
    assert captions(page) == {f"{name}.png": caption_of(name) for name in NAMES[:6]}


@pytest.fixture
def open_tight(browser: Any, tight_server: Server) -> Iterator[Opener]:
    """Return an `Opener` for a server that takes one picture at a time, and fails with some."""
    yield from opener(browser, tight_server)


def plain(colour: tuple[int, int, int], path: Path) -> Path:
    """Write a picture of one colour, with which the server does as `tests.faults` says."""
    path.write_bytes(encode(Image.new("RGB", (64, 64), colour)))
    return path


def test_a_busy_server_is_asked_again(open_tight: Opener, picture: Picture, tmp_path: Path) -> None:
    page = open_tight(refusals=True)
    answers: list[int] = []
    page.on("response", lambda one: one.url.endswith("/caption") and answers.append(one.status))
    names = ["red ring", "blue bar", "gold cross"]
    slow = plain(SLOW, tmp_path / "slow.png")
    choose(page, slow, *(picture(name) for name in names))
    await_captions(page, 4)
    found = captions(page)
    assert {name: found[f"{name}.png"] for name in names} == {
        name: caption_of(name) for name in names
    }
    # One was taken, the others were refused and came again.
    assert answers.count(200) == 4 and answers.count(429) >= 1


def test_errors_say_what_to_do(open_tight: Opener, picture: Picture, tmp_path: Path) -> None:
    page = open_tight(refusals=True)
    with page.expect_response("**/caption") as response:
        choose(page, plain(RAISING, tmp_path / "poison.png"))
    problem = response.value.json()
    failed = card(page, "poison.png")
    assert problem["status"] == 500
    for said in (
        problem["title"],
        problem["detail"],
        "tell whoever runs this server",
        f"Request {problem['request_id']}",
    ):
        expect(failed).to_contain_text(said)
    choose(page, picture("red ring"))
    await_captions(page, 1)


@pytest.mark.long
def test_two_hundred_pictures(open_page: Opener, picture: Picture) -> None:
    files = [picture(NAMES[i % 16], f"{i:03}.png") for i in range(200)]
    page = open_page()
    page.evaluate(WATCH_URLS)
    page.evaluate("""() => {
      let now = 0;
      window.most = 0;
      const { fetch } = window;
      window.fetch = async (...args) => {
        window.most = Math.max(window.most, ++now);
        try { return await fetch(...args); } finally { now -= 1; }
      };
    }""")
    choose(page, *files)
    expect(page.locator(".card")).to_have_count(200)
    await_captions(page, 200)
    expect(page.locator("#toolbar")).to_contain_text("200 pictures captioned")
    assert page.evaluate("window.most") <= 4
    assert page.evaluate("window.openUrls.size") == 200
    shown = captions(page)
    assert len(shown) == 200
    for i in range(200):
        assert shown[f"{i:03}.png"] == caption_of(NAMES[i % 16])
    page.get_by_role("button", name="Clear").click()
    expect(page.locator(".card")).to_have_count(0)
    # As long as they may be brought back, they are not let go of.
    assert page.evaluate("window.openUrls.size") == 200
    page.get_by_role("button", name="Dismiss").click()
    assert page.evaluate("window.openUrls.size") == 0


def test_large_pictures_are_shrunk_unless_switched_off(open_page: Opener, picture: Picture) -> None:
    large = picture("green square", "large.jpg", 3000)
    page = open_page()
    with page.expect_request("**/caption") as request:
        choose(page, large)
    assert _width_sent(request.value) == 1024
    await_captions(page, 1)
    expect(page.locator(".card-head")).to_contain_text("3000 × 3000")
    page.get_by_role("button", name="More options").click()
    page.get_by_label(re.compile("Shrink large pictures")).uncheck()
    with page.expect_request("**/caption") as request:
        choose(page, large)
    assert _width_sent(request.value) == 3000
