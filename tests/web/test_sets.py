"""Sets of pictures: broken ones among them, cancelling, large files, two hundred at once."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.drawings import NAMES, caption_of
from tests.web.browsing import await_captions, captions, card, choose, expect, problem
from tests.web.conftest import Opener

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
    gate = threading.Event()
    held: list[Any] = []

    def hold(route: Any) -> None:
        if gate.is_set():
            route.continue_()
        else:
            held.append(route)

    page.route("**/caption", hold)
    choose(page, *(picture(name) for name in NAMES[:6]))
    expect(page.locator("[data-state=working]")).to_have_count(4)
    expect(page.locator("#toolbar")).to_contain_text("Captioned 0 of 6")
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.locator("[data-state=cancelled]")).to_have_count(6)
    assert len(held) == 4, "more requests at a time than the page promises"
    gate.set()
    page.get_by_role("button", name="Caption 6 left").click()
    await_captions(page, 6)
    assert captions(page) == {f"{name}.png": caption_of(name) for name in NAMES[:6]}


def test_a_busy_server_is_asked_again_when_it_says(open_page: Opener, picture: Picture) -> None:
    page = open_page(refusals=True)
    refusals = [
        problem("too-many-requests", "Too many requests", 429, **{"Retry-After": "0"}),
        problem("overloaded", "Overloaded", 503, **{"Retry-After": "0.2"}),
    ]
    page.route(
        "**/caption",
        lambda route: route.fulfill(**refusals.pop(0)) if refusals else route.continue_(),
    )
    choose(page, picture("red ring"))
    await_captions(page, 1)
    assert not refusals


def test_errors_say_what_to_do(open_page: Opener, picture: Picture) -> None:
    page = open_page(refusals=True)
    answer = problem("internal-error", "Internal error", 500)
    page.route("**/caption", lambda route: route.fulfill(**answer))
    choose(page, picture("red ring"))
    failed = card(page, "red ring.png")
    for said in ("Internal error it is.", "tell whoever runs this server", "Request r-17"):
        expect(failed).to_contain_text(said)
    page.unroute("**/caption")
    failed.get_by_role("button", name="Try again").click()
    await_captions(page, 1)


def test_two_hundred_pictures(open_page: Opener, picture: Picture) -> None:
    files = [picture(NAMES[i % 16], f"{i:03}.png") for i in range(200)]
    page = open_page()
    page.evaluate("""() => {
      const { createObjectURL, revokeObjectURL } = URL;
      const open = (window.openUrls = new Set());
      URL.createObjectURL = (blob) => {
        const url = createObjectURL(blob);
        open.add(url);
        return url;
      };
      URL.revokeObjectURL = (url) => {
        open.delete(url);
        revokeObjectURL(url);
      };
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
    await_captions(page, 200, seconds=60)
    expect(page.locator("#toolbar")).to_contain_text("200 pictures captioned")
    assert page.evaluate("window.most") <= 4
    assert page.evaluate("window.openUrls.size") == 200
    shown = captions(page)
    assert len(shown) == 200
    for i in range(200):
        assert shown[f"{i:03}.png"] == caption_of(NAMES[i % 16])
    page.get_by_role("button", name="Clear").click()
    expect(page.locator(".card")).to_have_count(0)
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
