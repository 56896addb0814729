"""Filter by word, order by confidence, the words of the set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.web.browsing import await_captions, choose, expect, fields
from tests.web.conftest import Opener

Picture = Callable[..., Path]

SAID = [
    ("A dog runs on the grass.", 0.5),
    ("Two dogs and a cat.", 0.2),
    ("A dogged man.", 0.9),
    ("A red boat.", 0.35),
]
"""What is said of the pictures in order, and how surely."""


def open_set(open_page: Opener, picture: Picture) -> Any:
    """Return a page with four captioned pictures, `0.png` to `3.png`."""
    page = open_page()
    # The server's place is taken: the tests' tiny model says too little.
    asked: list[str] = []

    def answer(route: Any) -> None:
        assert "image" in fields(route.request)
        text, confidence = SAID[len(asked)]
        asked.append(text)
        caption = {"text": text, "confidence": confidence, "log_prob": -1.0}
        route.fulfill(json={"captions": [caption]})

    page.route("**/caption", answer)
    for index in range(len(SAID)):
        choose(page, picture("red ring", f"{index}.png"))
        await_captions(page, index + 1)
    return page


def shown(page: Any) -> Any:
    """Return the names of the pictures that are to be seen, in order."""
    return page.locator(".card:visible h2")


def test_filter_by_word(open_page: Opener, picture: Picture) -> None:
    page = open_set(open_page, picture)
    field = page.get_by_role("searchbox", name="Filter by word")
    field.fill("dog")
    expect(shown(page)).to_have_text(["0.png", "1.png", "2.png"])
    expect(page.locator("#shelf")).to_contain_text("3 of 4 shown")
    expect(page.get_by_role("status")).to_have_text("3 of 4 shown")
    field.fill("cat dog")
    expect(shown(page)).to_have_text(["1.png"])
    # The large view goes through what is shown.
    page.get_by_role("button", name="Open 1.png large").click()
    expect(page.locator(".large .place")).to_have_text("1 of 1")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Show all").click()
    expect(shown(page)).to_have_count(4)
    expect(field).to_be_focused()


def test_words_of_the_set(open_page: Opener, picture: Picture) -> None:
    page = open_set(open_page, picture)
    page.get_by_text("Words in this set").click()
    words = page.get_by_role("list", name="Words of the captions").get_by_role("button")
    told = words.evaluate_all("nodes => nodes.map((node) => node.dataset.word)")
    assert told == sorted(told) and {"dog", "dogs", "cat", "boat"} <= set(told)
    assert not {"a", "the", "on", "and", "two"} & set(told)
    dog = page.get_by_role("button", name="dog, 1 picture", exact=True)
    dog.press("Enter")
    # This very word: what is typed may be the beginning of one.
    expect(shown(page)).to_have_text(["0.png"])
    expect(dog).to_have_attribute("aria-pressed", "true")
    expect(dog).to_be_focused()
    dog.press("Enter")
    expect(shown(page)).to_have_count(4)


def test_what_needs_a_look_comes_first(open_page: Opener, picture: Picture) -> None:
    page = open_set(open_page, picture)
    order = page.get_by_label("Order")
    order.select_option("Needs a look first")
    expect(shown(page)).to_have_text(["1.png", "3.png", "0.png", "2.png"])
    order.select_option("Surest first")
    expect(shown(page)).to_have_text(["2.png", "0.png", "3.png", "1.png"])
    # Where the keyboard goes is what is shown next.
    page.get_by_role("button", name="Remove 2.png").press("Enter")
    expect(page.get_by_role("button", name="Remove 0.png")).to_be_focused()
    page.keyboard.press("Control+z")
    expect(shown(page)).to_have_text(["2.png", "0.png", "3.png", "1.png"])
    order.select_option("As they were added")
    expect(shown(page)).to_have_text(["0.png", "1.png", "2.png", "3.png"])
    # Somebody is looking at it now: nothing moves under their hands, and it counts as looked at.
    order.select_option("Needs a look first")
    first = page.locator(".card").first
    first.get_by_role("button", name="Edit").click()
    first.get_by_label("Caption", exact=True).fill("Mine")
    page.keyboard.press("Enter")
    expect(shown(page)).to_have_text(["3.png", "0.png", "2.png", "1.png"])
    expect(page.locator(".card").last.get_by_role("button", name="Edit")).to_be_focused()
