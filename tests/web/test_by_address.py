"""Pictures by their address, on a server that fetches them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.drawings import caption_of
from tests.picture_site import Site
from tests.server import Server
from tests.web.browsing import await_captions, card, expect
from tests.web.conftest import Opener, opener


@pytest.fixture
def open_fetching(browser: Any, fetching_server: Server) -> Iterator[Opener]:
    yield from opener(browser, fetching_server)


def test_addresses_are_captioned_without_the_browser_going_there(
    open_fetching: Opener, site: Site
) -> None:
    # That the page asks no host but its own is checked by `opener`.
    page = open_fetching(refusals=True)
    field = page.get_by_label("Or from an address")
    expect(field).to_be_visible()
    address = site.url("/picture?x=1")
    field.fill(address)
    with page.expect_request("**/caption_url") as request:
        page.keyboard.press("Enter")
    sent = json.loads(request.value.post_data)
    assert sent == {"url": address, "model": "compact", "num_captions": 3}
    await_captions(page, 1)
    found = card(page, "picture")
    expect(found.locator(".caption")).to_have_text(caption_of("red ring"))
    expect(field).to_have_value("")
    asked_by = {headers["user-agent"].split("/")[0] for _, headers in site.asked}
    assert asked_by == {"Captionbox"}
    # What fails says why, and leaves the rest alone.
    field.fill("http://169.254.169.254/latest/meta-data")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator(".failure")).to_contain_text("refused address")
    expect(page.locator(".failure")).to_contain_text("save the picture and add the file")
    field.fill(site.url("/page"))
    page.keyboard.press("Enter")
    expect(page.locator(".failure")).to_have_count(2)
    await_captions(page, 1)


def test_no_field_for_addresses_where_the_server_fetches_none(open_page: Opener) -> None:
    expect(open_page().locator("#url-form")).to_be_hidden()
