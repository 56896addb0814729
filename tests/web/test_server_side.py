"""What the page makes of the server: one that is away, matching where there is one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.web.browsing import await_captions, choose, expect, problem
from tests.web.conftest import Opener

Picture = Callable[..., Path]


def test_a_server_that_is_away(open_page: Opener, picture: Picture) -> None:
    page = open_page(refusals=True)
    page.route("**/caption", lambda route: route.abort("connectionrefused"))
    choose(page, picture("red ring"))
    failed = page.locator(".failure")
    expect(failed).to_contain_text("The server cannot be reached")
    expect(failed).to_contain_text("Check your connection")


def test_pictures_wait_for_a_server_that_is_starting(open_page: Opener, picture: Picture) -> None:
    page = open_page(refusals=True)
    page.route(
        "**/v1/models", lambda route: route.fulfill(**problem("not-ready", "Not ready", 503))
    )
    page.reload()
    expect(page.locator("#banner")).to_contain_text("The server is starting up")
    choose(page, picture("red ring"))
    expect(page.locator("#banner")).to_contain_text("Waiting for the server")
    page.unroute("**/v1/models")
    await_captions(page, 1)
    expect(page.locator("#banner")).to_be_hidden()


def test_matching_tab_where_the_server_matches(open_page: Opener, picture: Picture) -> None:
    page = open_page()
    expect(page.get_by_role("tab")).to_have_count(0)
    asked: list[Any] = []

    def matches(route: Any) -> None:
        document = route.fetch().json()
        document["paths"]["/match"] = {"post": {}}
        route.fulfill(json=document)

    def match(route: Any) -> None:
        asked.append(json.loads(route.request.headers["x-fields"]))
        ranked = [{"text": "a ring", "score": 0.9}, {"text": "a dog", "score": 0.02}]
        route.fulfill(json={"matches": ranked})

    page.route("**/docs.json", matches)
    page.route("**/match", match)
    page.reload()
    page.get_by_role("tab", name="Captions").press("ArrowRight")
    expect(page.get_by_role("tab", name="Matching")).to_be_focused()
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose a picture").click()
    chooser.value.set_files(picture("red ring"))
    expect(page.get_by_alt_text("The chosen picture")).to_be_visible()
    page.get_by_label("Texts, one a line").fill("a dog\n\n a ring ")
    page.get_by_role("button", name="Rank the texts").click()
    ranking = page.get_by_role("list", name="Best first").locator("li")
    expect(ranking).to_have_text(["a ring · 90 %", "a dog · 2 %"])
    assert asked == [[["image", "picture"], ["texts", "a dog"], ["texts", "a ring"]]]
    expect(page.locator(".card")).to_have_count(0)
