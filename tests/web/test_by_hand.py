"""What a person wrote is never replaced unasked, nor without a way back, nor lost by leaving."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.drawings import caption_of
from tests.server import Server
from tests.web.browsing import (
    Held,
    await_captions,
    captions,
    card,
    choose,
    expect,
    fields,
    problem,
    undo_bar,
    write,
)
from tests.web.conftest import Opener, opener
from tests.web.test_access import check

Picture = Callable[..., Path]
MINE = "My own words"


def again(page: Any, count: int) -> None:
    """Have the set captioned again, with so many captions a picture."""
    page.get_by_label("Captions per picture").select_option(str(count))
    page.get_by_role("button", name="Caption again").click()


def take_back(page: Any, label: str = "Undo") -> None:
    """Press the button of the bar."""
    undo_bar(page).get_by_role("button", name=label).click()


def test_captioning_again_keeps_it(open_page: Opener, picture: Picture) -> None:
    page = open_page()
    choose(page, picture("red ring"), picture("blue bar"), picture("gold cross"))
    await_captions(page, 3)
    write(page, "red ring.png", MINE)
    write(page, "blue bar.png", f"{MINE}, too")
    again(page, 5)
    await_captions(page, 3)
    said = "2 edited captions were kept; suggestions are beneath."
    expect(undo_bar(page)).to_contain_text(said)
    assert captions(page) == {
        "red ring.png": MINE,
        "blue bar.png": f"{MINE}, too",
        "gold cross.png": caption_of("gold cross"),
    }
    # All are up to date: beneath the words are the new suggestions.
    expect(card(page, "red ring.png")).to_contain_text("5 other ways to put it")
    expect(card(page, "gold cross.png")).to_contain_text("4 other ways to put it")
    expect(page.get_by_role("button", name="Caption again")).to_be_hidden()
    # Whoever does want one in place of the words takes it, and may think again.
    found = card(page, "red ring.png")
    found.get_by_text("5 other ways to put it").click()
    found.locator(".alternatives li button").first.click()
    assert captions(page)["red ring.png"] == caption_of("red ring")
    expect(undo_bar(page)).to_contain_text("Replaced your words for “red ring.png”.")
    check(page)
    take_back(page)
    assert captions(page)["red ring.png"] == MINE
    expect(found.get_by_role("button", name="Edit")).to_be_focused()


def test_captioning_again_itself_can_be_taken_back(open_page: Opener, picture: Picture) -> None:
    page = open_page()
    choose(page, picture("red ring"), picture("blue bar"))
    await_captions(page, 2)
    page.get_by_text("2 other ways to put it").first.click()
    page.locator(".alternatives li button").first.click()
    chosen = captions(page)
    again(page, 1)
    await_captions(page, 2)
    expect(undo_bar(page)).to_contain_text("1 chosen wording was replaced.")
    assert captions(page)["red ring.png"] == caption_of("red ring")
    # What has been written since is kept.
    write(page, "blue bar.png", MINE)
    take_back(page)
    assert captions(page) == chosen | {"blue bar.png": MINE}


def test_suggestions_that_fail_leave_it_alone(open_page: Opener, picture: Picture) -> None:
    page = open_page(refusals=True)
    choose(page, picture("red ring"))
    await_captions(page, 1)
    write(page, "red ring.png", MINE)
    refusal = problem("engine-failure", "Engine failure", 500)
    page.route("**/caption", lambda route: route.fulfill(**refusal))
    again(page, 2)
    expect(page.locator(".failure")).to_contain_text("Engine failure it is.")
    assert captions(page) == {"red ring.png": MINE}
    check(page)
    page.unroute("**/caption")
    page.get_by_role("button", name="Retry 1 failed").click()
    expect(page.locator(".alternatives")).to_contain_text("2 other ways to put it")
    assert captions(page) == {"red ring.png": MINE}


def test_it_can_be_given_up_and_brought_back(open_page: Opener, picture: Picture) -> None:
    page = open_page()
    choose(page, picture("red ring"))
    await_captions(page, 1)
    write(page, "red ring.png", MINE)
    page.locator(".card").get_by_role("button", name="Undo").click()
    expect(undo_bar(page)).to_contain_text("Took back your words for “red ring.png”.")
    # Other words, before the first are brought back: then these can be.
    write(page, "red ring.png", "Others")
    take_back(page, "Redo")
    assert captions(page) == {"red ring.png": MINE}
    take_back(page)
    assert captions(page) == {"red ring.png": "Others"}
    # Even where new captions have been asked for in between.
    take_back(page)
    page.locator(".card").get_by_role("button", name="Undo").click()
    page.route("**/caption", lambda route: None)
    again(page, 2)
    expect(page.locator("[data-state=working]")).to_have_count(1)
    page.keyboard.press("Control+Z")
    assert captions(page) == {"red ring.png": MINE}


def half_written(open_page: Opener, picture: Picture) -> tuple[Any, Any]:
    """Return a page with two pictures and the open editor of the first one's caption."""
    page = open_page()
    choose(page, picture("red ring"), picture("blue bar"))
    await_captions(page, 2)
    card(page, "red ring.png").get_by_role("button", name="Edit").click()
    field = page.get_by_label("Caption", exact=True)
    field.fill("Half a word")
    return page, field


def test_an_open_editor_is_left_alone(open_page: Opener, picture: Picture) -> None:
    page, field = half_written(open_page, picture)
    held = Held(page)
    again(page, 2)
    expect(undo_bar(page)).to_contain_text("1 edited caption was kept")
    field.focus()
    page.keyboard.press("Home")
    page.keyboard.type("N")
    held.let_go()
    expect(card(page, "blue bar.png")).to_contain_text("1 other way to put it")
    expect(page.get_by_role("button", name="Cancel", exact=True)).to_be_hidden()
    page.keyboard.type("ot h")
    expect(field).to_have_value("Not hHalf a word")
    # Left, but not lost.
    page.keyboard.press("Escape")
    assert captions(page)["red ring.png"] == caption_of("red ring")
    expect(card(page, "red ring.png")).to_contain_text("1 other way to put it")
    take_back(page, "Go on writing")
    expect(field).to_be_focused()
    page.keyboard.press("Enter")
    assert captions(page)["red ring.png"] == "Not hHalf a word"


def test_a_removed_editor_comes_back_open(open_page: Opener, picture: Picture) -> None:
    page, field = half_written(open_page, picture)
    page.get_by_role("button", name="Clear").click()
    take_back(page)
    expect(field).to_have_value("Half a word")


def test_leaving_warns_as_long_as_words_are_here_only(open_page: Opener, picture: Picture) -> None:
    page = open_page(permissions=["clipboard-read", "clipboard-write"])
    asked: list[str] = []

    def answer(dialog: Any) -> None:
        asked.append(dialog.type)
        dialog.accept()

    def leave(*prepare: Callable[[], Any]) -> bool:
        """Return whether leaving was warned of, after what `prepare` does."""
        asked.clear()
        choose(page, picture("red ring"))
        await_captions(page, 1)
        for step in prepare:
            step()
        page.reload()
        page.wait_for_selector("#options select")
        return asked == ["beforeunload"]

    def download() -> None:
        page.locator(".menu summary").click()
        with page.expect_download():
            page.get_by_role("button", name="Text files").click()

    def copy() -> None:
        page.get_by_role("button", name="Copy the caption").click()
        expect(page.get_by_role("status")).to_have_text("Copied")

    def edit() -> None:
        write(page, "red ring.png", MINE)

    def start_writing() -> None:
        page.get_by_role("button", name="Edit").click()
        page.get_by_label("Caption", exact=True).fill("Half a word")

    page.on("dialog", answer)
    assert not leave()
    assert leave(edit)
    assert leave(start_writing)
    assert not leave(edit, download)
    assert not leave(edit, copy)
    assert leave(edit, download, lambda: write(page, "red ring.png", "Others"))
    assert not leave(edit, page.get_by_role("button", name="Clear").click)


@pytest.fixture
def open_several(browser: Any, several_server: Server) -> Iterator[Opener]:
    yield from opener(browser, several_server)


def test_another_model_stands_beside_it(open_several: Opener, picture: Picture) -> None:
    page = open_several()
    choose(page, picture("red ring"), picture("blue bar"))
    await_captions(page, 2)
    write(page, "red ring.png", MINE)
    asked: list[str] = []

    def note(request: Any) -> None:
        if request.url.endswith("/caption"):
            asked.append(fields(request)["model"])

    page.on("request", note)
    page.get_by_role("checkbox", name="vit-gpt2").check()
    page.get_by_role("button", name="Caption again").click()
    await_captions(page, 4)
    # Captions that would come out the same are not made again.
    assert asked == ["vit-gpt2"] * 2
    page.get_by_role("checkbox", name="compact").uncheck()
    page.get_by_role("button", name="Caption again").click()
    await_captions(page, 3)
    edited = card(page, "red ring.png")
    assert edited.locator("h3").all_inner_texts() == ["compact", "vit-gpt2"]
    assert edited.locator(".caption").first.inner_text() == MINE
    assert card(page, "blue bar.png").locator(".caption").count() == 1
    expect(page.get_by_role("button", name="Caption again")).to_be_hidden()
