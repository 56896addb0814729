"""A picture opened large: all captions, where the model looked, and the neighbours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.drawings import caption_of
from tests.web.browsing import await_captions, captions, choose, expect, undo_bar
from tests.web.conftest import Opener
from tests.web.test_access import DESKTOP, PHONE, check

Picture = Callable[..., Path]


def open_large(page: Any, name: str) -> Any:
    """Open a picture large with the keyboard; return the dialog."""
    page.get_by_role("button", name=f"Open {name} large").press("Enter")
    dialog = page.get_by_role("dialog", name=name)
    expect(dialog).to_be_visible()
    return dialog


def test_with_the_keyboard(open_page: Opener, picture: Picture) -> None:
    page = open_page()
    choose(page, picture("red ring"), picture("blue bar"))
    await_captions(page, 2)
    dialog = open_large(page, "red ring.png")
    # All candidates are there at once.
    expect(dialog.locator(".alternatives li")).to_have_count(2)
    expect(dialog.locator(".alternatives li").first).to_be_visible()
    dialog.get_by_role("button", name="Where it looked").press("Enter")
    dialog.locator("button.word").nth(1).focus()
    expect(dialog.locator(".picture canvas")).to_have_class("shown")
    page.keyboard.press("ArrowRight")
    other = page.get_by_role("dialog", name="blue bar.png")
    expect(other.locator(".caption")).to_have_text(caption_of("blue bar"))
    expect(other.locator(".place")).to_have_text("2 of 2")
    page.keyboard.press("ArrowRight")
    expect(other.locator(".place")).to_have_text("2 of 2")
    page.keyboard.press("Escape")
    expect(other).to_be_hidden()
    expect(page.get_by_role("button", name="Open blue bar.png large")).to_be_focused()


def test_what_is_done_there_is_done_and_can_be_undone(open_page: Opener, picture: Picture) -> None:
    page = open_page()
    choose(page, picture("red ring"), picture("blue bar"))
    await_captions(page, 2)
    dialog = open_large(page, "red ring.png")
    dialog.get_by_role("button", name="Edit").click()
    dialog.get_by_label("Caption", exact=True).fill("My words")
    page.keyboard.press("Enter")
    dialog.locator(".alternatives li button").first.click()
    expect(undo_bar(page)).to_contain_text("Replaced your words")
    page.keyboard.press("Control+z")
    expect(dialog.locator(".caption")).to_have_text("My words")
    # Escape leaves the editor first, and the large picture only then.
    dialog.get_by_role("button", name="Edit").click()
    page.keyboard.press("Escape")
    expect(dialog.get_by_label("Caption", exact=True)).to_have_count(0)
    expect(dialog).to_be_visible()
    dialog.get_by_role("button", name="Close").click()
    expect(dialog).to_be_hidden()
    assert captions(page) == {"red ring.png": "My words", "blue bar.png": caption_of("blue bar")}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("device", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_axe_finds_nothing_and_pictures_of_it(
    open_page: Opener, picture: Picture, tmp_path: Path, scheme: str, device: dict[str, Any]
) -> None:
    page = open_page(color_scheme=scheme, reduced_motion="reduce", **device)
    choose(page, picture("red ring"), picture("blue bar"))
    await_captions(page, 2)
    page.get_by_text("Words in this set").click()
    page.get_by_label("Filter by word").fill("ring")
    check(page)
    page.screenshot(path=tmp_path / "shelf.png")
    dialog = open_large(page, "red ring.png")
    dialog.get_by_role("button", name="Where it looked").click()
    dialog.locator("button.word").nth(2).click()
    check(page)
    page.screenshot(path=tmp_path / "large.png")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Use it from code").click()
    expect(page.get_by_role("dialog", name="Use it from code")).to_be_visible()
    check(page)
    page.screenshot(path=tmp_path / "code.png")
