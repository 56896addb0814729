"""Removed pictures come back: by the bar, by Ctrl+Z, for a while; with all that belongs to them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.drawings import NAMES, caption_of
from tests.web.browsing import (
    WATCH_URLS,
    Held,
    await_captions,
    captions,
    card,
    choose,
    expect,
    undo_bar,
    write,
)
from tests.web.conftest import Opener
from tests.web.test_access import DESKTOP, PHONE, check

Picture = Callable[..., Path]
LASTS = 20
"""Seconds for which an undo is offered."""

_DECODED = """async () => {
  const images = [...document.querySelectorAll(".card img")];
  await Promise.all(images.map((image) => image.decode()));
  return images.length;
}"""


def check_shown(page: Any, number: int) -> None:
    """Fail unless so many pictures are shown and can be read."""
    expect(page.locator(".card img")).to_have_count(number)
    assert page.evaluate(_DECODED) == number


def names(page: Any) -> list[str]:
    """Return the names of the pictures on the page, in their order."""
    found: list[str] = page.locator(".card h2").all_text_contents()
    return found


def remove(page: Any, name: str) -> None:
    """Take a picture off the page."""
    card(page, name).get_by_role("button", name="Remove").click()


def test_a_removed_picture_comes_back_to_its_place(open_page: Opener, picture: Picture) -> None:
    page = open_page()
    page.evaluate(WATCH_URLS)
    files = [picture(name) for name in NAMES[:4]]
    choose(page, *files)
    await_captions(page, 4)
    order = names(page)
    write(page, order[1], "My own words")
    card(page, order[2]).get_by_text("2 other ways to put it").click()
    card(page, order[2]).locator(".alternatives li button").first.click()
    before = captions(page)
    remove(page, order[1])
    expect(undo_bar(page)).to_contain_text(f"Removed “{order[1]}”.")
    expect(page.get_by_role("status")).to_contain_text(f"Removed “{order[1]}”. Undo: Ctrl Z.")
    remove(page, order[2])
    assert names(page) == [order[0], order[3]]
    assert page.evaluate("window.openUrls.size") == 4
    # One after the other, the last first.
    undo_bar(page).get_by_role("button", name="Undo").click()
    assert names(page) == [order[0], order[2], order[3]]
    expect(card(page, order[2]).get_by_role("button", name="Remove")).to_be_focused()
    page.keyboard.press("Control+Z")
    assert names(page) == order
    expect(undo_bar(page)).to_be_hidden()
    assert captions(page) == before
    expect(card(page, order[1])).to_contain_text("Edited by you")
    check_shown(page, 4)
    # Nothing is left to take back.
    page.keyboard.press("Control+Z")
    assert names(page) == order


def test_a_cleared_set_comes_back_before_what_has_come_since(
    open_page: Opener, picture: Picture
) -> None:
    page = open_page()
    page.evaluate(WATCH_URLS)
    choose(page, picture("red ring"), picture("blue bar"))
    await_captions(page, 2)
    write(page, "blue bar.png", "My own words")
    page.get_by_role("button", name="Clear").click()
    expect(undo_bar(page)).to_contain_text("Removed 2 pictures.")
    expect(page.get_by_role("button", name="Choose pictures")).to_be_focused()
    choose(page, picture("gold cross"))
    await_captions(page, 1)
    undo_bar(page).get_by_role("button", name="Undo").click()
    assert list(captions(page).items()) == [
        ("red ring.png", caption_of("red ring")),
        ("blue bar.png", "My own words"),
        ("gold cross.png", caption_of("gold cross")),
    ]
    expect(page.locator("#toolbar")).to_contain_text("3 pictures captioned")
    check_shown(page, 3)
    assert page.evaluate("window.openUrls.size") == 3


def test_it_lapses_but_not_under_the_finger(open_page: Opener, picture: Picture) -> None:
    page = open_page()
    page.evaluate(WATCH_URLS)
    choose(page, picture("red ring"), picture("blue bar"))
    await_captions(page, 2)
    page.clock.install()
    remove(page, "red ring.png")
    page.clock.fast_forward(1000 * (LASTS - 5))
    undo = undo_bar(page).get_by_role("button", name="Undo")
    undo.focus()
    page.clock.fast_forward(1000 * LASTS)
    expect(undo).to_be_visible()
    page.get_by_role("button", name="Choose pictures").focus()
    page.mouse.move(5, 5)
    page.clock.fast_forward(1000 * (LASTS + 1))
    expect(undo_bar(page)).to_be_hidden()
    assert page.evaluate("window.openUrls.size") == 1
    page.keyboard.press("Control+Z")
    assert names(page) == ["blue bar.png"]


def test_a_text_has_an_undo_of_its_own(open_page: Opener, picture: Picture) -> None:
    page = open_page()
    choose(page, picture("red ring"), picture("blue bar"))
    await_captions(page, 2)
    remove(page, "red ring.png")
    page.get_by_role("button", name="Edit").click()
    field = page.get_by_label("Caption", exact=True)
    page.keyboard.press("End")
    page.keyboard.type("!")
    expect(field).to_have_value(f"{caption_of('blue bar')}!")
    page.keyboard.press("Control+Z")
    expect(field).to_have_value(caption_of("blue bar"))
    assert names(page) == ["blue bar.png"]
    page.keyboard.press("Escape")
    page.keyboard.press("Control+Z")
    assert names(page) == ["red ring.png", "blue bar.png"]


def test_what_was_not_done_yet_goes_on(open_page: Opener, picture: Picture) -> None:
    page = open_page()
    page.evaluate(WATCH_URLS)
    held = Held(page)
    # Large ones: some are still to be decoded when they are removed.
    files = [picture(name, f"{name}.jpg", 2000) for name in NAMES[:8]]
    choose(page, *files)
    page.get_by_role("button", name="Clear").click()
    expect(page.locator(".card")).to_have_count(0)
    held.let_new_ones_pass()
    page.keyboard.press("Control+Z")
    await_captions(page, 8)
    check_shown(page, 8)
    assert page.evaluate("window.openUrls.size") == 8
    # As if nothing had happened.
    undisturbed = open_page()
    choose(undisturbed, *files)
    await_captions(undisturbed, 8)
    assert captions(page) == captions(undisturbed)


def test_with_the_keyboard_alone(open_page: Opener, picture: Picture) -> None:
    page = open_page()
    choose(page, picture("red ring"))
    await_captions(page, 1)
    page.get_by_role("button", name="Clear").press("Enter")
    undo = undo_bar(page).get_by_role("button", name="Undo")
    for _ in range(12):
        page.keyboard.press("Tab")
        if undo.evaluate("(button) => button === document.activeElement"):
            break
    expect(undo).to_be_focused()
    page.keyboard.press("Enter")
    expect(card(page, "red ring.png").get_by_role("button", name="Remove")).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("device", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_bar_fits_and_covers_nothing_for_good(
    open_page: Opener, picture: Picture, tmp_path: Path, scheme: str, device: dict[str, Any]
) -> None:
    page = open_page(color_scheme=scheme, reduced_motion="reduce", **device)
    long = f"{'a-name-without-a-place-to-break-' * 3}.png"
    choose(page, picture("red ring", long), picture("blue bar"))
    await_captions(page, 2)
    remove(page, long)
    bar = undo_bar(page)
    expect(bar).to_be_visible()
    check(page)
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    page.screenshot(path=tmp_path / "undo.png")
    size = device["viewport"]
    assert page.evaluate("document.documentElement.scrollWidth") == size["width"]
    box = bar.bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= size["width"]
    assert box["y"] + box["height"] <= size["height"]
    foot = page.locator(".foot").bounding_box()
    assert foot["y"] + foot["height"] <= box["y"]
    for button in bar.get_by_role("button").all():
        assert min(button.bounding_box()[side] for side in ("width", "height")) >= 36
    bar.get_by_role("button", name="Undo").click()
    expect(page.locator(".card")).to_have_count(2)
