"""Review: captions accepted, edited and skipped by keys; everything can be taken back."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.drawings import caption_of
from tests.web.browsing import await_captions, captions, card, choose, expect
from tests.web.conftest import Opener

Picture = Callable[..., Path]
NAMES = ["red ring", "blue bar", "gold bar"]


def place(page: Any, text: str) -> None:
    """Wait until the review is as far as a text says."""
    expect(page.locator(".large .place")).to_have_text(text)


def test_with_keys_alone(open_page: Opener, picture: Picture) -> None:
    page = open_page()
    choose(page, *(picture(name) for name in NAMES))
    await_captions(page, 3)
    page.get_by_role("button", name="Review").press("Enter")
    place(page, "1 of 3 · 0 of 3 accepted")
    page.keyboard.press("Enter")
    place(page, "2 of 3 · 1 of 3 accepted")
    # Skipped, gone back to, and written anew: that is one who has looked at it.
    page.keyboard.press("j")
    place(page, "3 of 3 · 1 of 3 accepted")
    page.keyboard.press("k")
    page.keyboard.press("e")
    field = page.locator(".large").get_by_label("Caption", exact=True)
    expect(field).to_be_focused()
    # Letters are letters here.
    field.fill("")
    page.keyboard.type("jeku")
    page.keyboard.press("Enter")
    place(page, "2 of 3 · 2 of 3 accepted")
    page.keyboard.press("Enter")
    place(page, "3 of 3 · 2 of 3 accepted")
    page.keyboard.press("Enter")
    place(page, "3 of 3 · 3 of 3 accepted")
    expect(page.get_by_role("status")).to_have_text("The last one. 3 of 3 accepted")
    page.keyboard.press("Escape")
    expect(page.locator(".card-head strong:visible")).to_have_count(3)
    assert captions(page)["blue bar.png"] == "jeku"


def test_all_of_it_can_be_taken_back(open_page: Opener, picture: Picture) -> None:
    page = open_page()
    choose(page, *(picture(name) for name in NAMES))
    await_captions(page, 3)
    page.get_by_role("button", name="Review").press("Enter")
    undo = page.locator(".large").get_by_role("button", name="Undo", exact=True)
    expect(undo).to_be_disabled()
    page.keyboard.press("Enter")
    # Another wording is chosen, which is a step of its own.
    page.locator(".large .alternatives li button").first.click()
    place(page, "2 of 3 · 2 of 3 accepted")
    chosen = page.locator(".large .caption").inner_text()
    assert chosen != caption_of("blue bar")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    place(page, "3 of 3 · 3 of 3 accepted")
    # The review is left and taken up again; what was done is not forgotten.
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Review").press("Enter")
    page.keyboard.press("u")
    place(page, "3 of 3 · 2 of 3 accepted")
    page.keyboard.press("Control+z")
    place(page, "2 of 3 · 1 of 3 accepted")
    expect(page.locator(".large .caption")).to_have_text(caption_of("blue bar"))
    undo.click()
    place(page, "1 of 3 · 0 of 3 accepted")
    expect(undo).to_be_disabled()
    page.keyboard.press("Escape")
    expect(page.locator(".card-head strong:visible")).to_have_count(0)


def test_what_is_captioned_again_is_to_be_looked_at_again(
    open_page: Opener, picture: Picture
) -> None:
    page = open_page()
    choose(page, *(picture(name) for name in NAMES[:2]))
    await_captions(page, 2)
    page.get_by_role("button", name="Review").press("Enter")
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    accepted = card(page, "red ring.png").locator("strong", has_text="Accepted")
    expect(accepted).to_be_visible()
    page.get_by_label("Captions per picture").select_option("2")
    page.get_by_role("button", name="Caption again").click()
    await_captions(page, 2)
    expect(accepted).to_be_hidden()


# A bound in milliseconds: not for machines that do other things meanwhile.
@pytest.mark.slow
def test_a_thousand_pictures_stay_smooth(open_page: Opener, picture: Picture) -> None:
    page = open_page()
    caption = {"text": "A red ring on paper.", "confidence": 0.5, "log_prob": -1.0}
    page.route("**/caption", lambda route: route.fulfill(json={"captions": [caption]}))
    one = picture("red ring").read_bytes()
    folder = picture("red ring", "set/0000.png").parent
    for index in range(1000):
        (folder / f"{index:04}.png").write_bytes(one)
    choose(page, *sorted(folder.iterdir()))
    await_captions(page, 1000)
    page.get_by_role("button", name="Review").press("Enter")
    place(page, "1 of 1000 · 0 of 1000 accepted")
    page.evaluate("""() => {
      window.took = [];
      let began = 0;
      addEventListener("keydown", () => { began = performance.now(); }, { capture: true });
      // After the frame that shows what the key did.
      addEventListener("keyup", () => requestAnimationFrame(() => setTimeout(() =>
        window.took.push(performance.now() - began))));
    }""")
    for key in ["j", "Enter"] * 20:
        page.keyboard.press(key)
    place(page, "41 of 1000 · 20 of 1000 accepted")
    page.wait_for_function("window.took.length === 40")
    took = page.evaluate("window.took")
    assert statistics.median(took) < 50
