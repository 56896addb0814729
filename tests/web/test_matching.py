"""The Matching tab and the matcher's say on captions, on a server with a matcher."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.web.browsing import await_captions, captions, choose, expect
from tests.web.conftest import Opener
from tests.web.test_access import DESKTOP, PHONE, check

Picture = Callable[..., Path]


def open_tab(page: Any) -> None:
    """Change to the Matching tab as a keyboard does."""
    page.get_by_role("tab", name="Captions").press("ArrowRight")
    expect(page.get_by_role("tab", name="Matching")).to_be_focused()


def rank(page: Any, texts: str) -> Any:
    """Have texts ranked; return the server's response."""
    page.get_by_label("Texts, one a line").fill(texts)
    with page.expect_response("**/match") as response:
        page.get_by_role("button", name="Rank the texts").click()
    return response.value


def choose_one(page: Any, path: Path) -> None:
    """Choose the picture to match."""
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose a picture").click()
    chooser.value.set_files(path)
    expect(page.get_by_alt_text("The chosen picture")).to_be_visible()


def test_texts_are_ranked(open_matching_page: Opener, picture: Picture) -> None:
    page = open_matching_page()
    open_tab(page)
    choose_one(page, picture("red ring"))
    response = rank(page, "a dog\n\n a ring \na cat & <b>mouse</b>")
    assert json.loads(response.request.headers["x-fields"]) == [
        ["image", "picture"],
        ["texts", "a dog"],
        ["texts", "a ring"],
        ["texts", "a cat & <b>mouse</b>"],
    ]
    answer = response.json()
    assert answer["model"]["method"] == "bridgetower"
    assert sorted(one["text"] for one in answer["matches"]) == [
        "a cat & <b>mouse</b>", "a dog", "a ring",
    ]  # fmt: skip
    shown = [f"{one['text']} · {round(one['score'] * 100)} %" for one in answer["matches"]]
    ranking = page.get_by_role("list", name="Best first").locator("li")
    expect(ranking).to_have_text(shown)
    expect(page.get_by_role("status")).to_have_text(f"Fits best: {answer['matches'][0]['text']}")
    # Another picture has other scores, and captions are left alone by all this.
    choose_one(page, picture("blue bar"))
    expect(ranking).to_have_count(0)
    other = rank(page, "a dog\na ring").json()["matches"]
    assert {one["score"] for one in other}.isdisjoint(one["score"] for one in answer["matches"])
    page.get_by_role("tab", name="Captions").click()
    expect(page.locator(".card")).to_have_count(0)


def test_refusals_are_told(open_matching_page: Opener, picture: Picture, broken: Path) -> None:
    page = open_matching_page(refusals=True)
    open_tab(page)
    page.get_by_label("Texts, one a line").fill("a dog")
    page.get_by_role("button", name="Rank the texts").click()
    alert = page.locator("#panel-matching").get_by_role("alert")
    expect(alert).to_have_text("Choose a picture first.")
    choose_one(page, picture("red ring"))
    page.get_by_label("Texts, one a line").fill("\n".join(map(str, range(33))))
    page.get_by_role("button", name="Rank the texts").click()
    expect(alert).to_have_text("At most 32 texts; there are 33.")
    assert rank(page, "a dog\n" + "x" * 100).status == 422
    expect(alert).to_contain_text("text 2 is too long: at most 62 tokens are read")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose a picture").click()
    chooser.value.set_files(broken)
    expect(page.get_by_text("This browser cannot show the file")).to_be_visible()
    assert rank(page, "a dog").status == 422
    expect(alert).to_contain_text("truncated: its data ends early")


def test_the_matcher_orders_captions(open_matching_page: Opener, picture: Picture) -> None:
    page = open_matching_page()
    page.get_by_role("button", name="More options").click()
    # A matcher writes no captions, so there is one model and nothing to choose from.
    expect(page.get_by_role("group", name="Models")).to_have_count(0)
    page.get_by_label("Have the captions checked against the picture").check()
    with page.expect_response("**/caption") as response:
        choose(page, picture("red ring"))
    await_captions(page, 1)
    told = response.value.json()["captions"]
    assert len(told) == 3
    assert captions(page) == {"red ring.png": told[0]["text"]}
    page.get_by_text("2 other ways to put it").click()
    ways = page.locator(".alternatives li button span:last-child")
    fits = [f"{round(one['confidence'] * 100)} % · fits {round(one['match_score'] * 100)} %"
            for one in told]  # fmt: skip
    expect(page.locator(".confidence")).to_contain_text(fits[0])
    expect(ways).to_have_text(fits[1:])
    # With a search of one there would be nothing to choose from.
    page.get_by_label("Captions per picture").select_option("1")
    page.get_by_role("radio", name="Quick").check()
    with page.expect_response("**/caption") as response:
        choose(page, picture("blue bar"))
    assert response.value.status == 200
    assert len(response.value.json()["captions"]) == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("device", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_axe_finds_nothing(
    open_matching_page: Opener,
    picture: Picture,
    tmp_path: Path,
    scheme: str,
    device: dict[str, Any],
) -> None:
    page = open_matching_page(refusals=True, color_scheme=scheme, reduced_motion="reduce", **device)
    check(page)  # the bar of tabs above the captions
    open_tab(page)
    check(page)
    choose_one(page, picture("red ring"))
    rank(page, "a dog\n" + "x" * 100)
    expect(page.locator("#panel-matching").get_by_role("alert")).to_be_visible()
    check(page)
    rank(page, "a dog\na red ring\na cat in a tree")
    expect(page.get_by_role("list", name="Best first")).to_be_visible()
    check(page)
    page.screenshot(path=tmp_path / "matching.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") == device["viewport"]["width"]
