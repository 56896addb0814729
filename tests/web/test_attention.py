"""Where the model looked: pointing at words, with the keyboard, and where a model cannot tell."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.web.browsing import await_captions, choose, expect, fields, problem
from tests.web.conftest import Opener

Picture = Callable[..., Path]

# How dark the picture is drawn at a place, 0 to 255.
_DARKNESS = """([x, y]) => {
  const canvas = document.querySelector(".picture canvas");
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d");
  copy.drawImage(canvas, 0, 0);
  return copy.getImageData(x * canvas.width, y * canvas.height, 1, 1).data[3];
}"""


def _looks_at(column: int, row: int) -> list[list[float]]:
    """Return the map of a word for which the model looked at one place of 7 x 7."""
    return [[1.0 if (x, y) == (column, row) else 0.0 for x in range(7)] for y in range(7)]


def _answer(route: Any) -> None:
    """Answer in the server's place, with larger maps: the tests' tiny model has one cell only."""
    caption: dict[str, Any] = {"text": "A red ring on paper.", "confidence": 0.9, "log_prob": -0.6}
    words = ["a", "red", "ring", "on", "paper"]
    maps = [{"word": word, "attention": _looks_at(i, 6 - i)} for i, word in enumerate(words)]
    if "attention" in fields(route.request):
        caption["words"] = maps
    route.fulfill(json={"captions": [caption]})


def test_pointing_at_a_word_lights_the_picture(open_page: Opener, picture: Picture) -> None:
    page = open_page()
    page.route("**/caption", _answer)
    choose(page, picture("red ring"))
    await_captions(page, 1)
    with page.expect_request("**/caption") as request:
        page.locator(".caption").hover(position={"x": 60, "y": 12})
    assert fields(request.value)["attention"] == "true"
    canvas = page.locator(".picture canvas")
    page.get_by_text("red", exact=True).hover()
    expect(canvas).to_have_class("shown")
    expect(page.locator(".looked")).to_have_text("“red” · lower left")
    assert page.evaluate(_DARKNESS, [1.5 / 7, 5.5 / 7]) < 10
    assert page.evaluate(_DARKNESS, [0.9, 0.1]) > 150
    page.get_by_text("on", exact=True).hover()
    expect(page.locator(".looked")).to_have_text("“on” · centre")
    assert page.evaluate(_DARKNESS, [0.5, 0.5]) < 10
    assert page.evaluate(_DARKNESS, [1.5 / 7, 5.5 / 7]) > 150
    page.mouse.move(5, 5)
    expect(canvas).not_to_have_class("shown")


def test_with_the_keyboard(open_page: Opener, picture: Picture) -> None:
    page = open_page()
    choose(page, picture("red ring"))
    await_captions(page, 1)
    look = page.get_by_role("button", name="Where it looked")
    look.press("Enter")
    words = page.locator("button.word")
    expect(words).to_have_text(["A", "red", "ring", "on", "paper"])
    expect(look).to_be_focused()
    words.nth(2).focus()
    expect(page.locator(".picture canvas")).to_have_class("shown")
    # Those who cannot see the picture are told the place.
    assert (words.nth(2).get_attribute("aria-label") or "").startswith("ring: ")
    look.press("Enter")
    expect(words).to_have_count(0)
    expect(page.locator(".picture canvas")).not_to_have_class("shown")


def test_a_model_that_cannot_tell(open_page: Opener, picture: Picture) -> None:
    page = open_page(refusals=True)

    def refuse(route: Any) -> None:
        if "attention" in fields(route.request):
            route.fulfill(**problem("unsupported-option", "Unsupported option", 422))
        else:
            route.continue_()

    page.route("**/caption", refuse)
    choose(page, picture("red ring"), picture("blue bar"))
    await_captions(page, 2)
    look = page.get_by_role("button", name="Where it looked")
    look.first.click()
    expect(page.locator(".looked").first).to_have_text("This model cannot show where it looked.")
    # It is not offered any more, on no card.
    expect(look).to_have_count(0)
