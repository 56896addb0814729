"""What the page makes of the server: one that is away, matching where there is one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

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


def test_no_matching_tab_where_the_server_does_not_match(open_page: Opener) -> None:
    page = open_page()
    expect(page.get_by_role("tab")).to_have_count(0)
    page.get_by_role("button", name="More options").click()
    expect(page.get_by_label("Have the captions checked")).to_have_count(0)
