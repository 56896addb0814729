"""Pictures by their address, on a server that fetches them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.drawings import caption_of
from tests.picture_site import Site, serve_site
from tests.server import Server
from tests.web.browsing import await_captions, card, expect
from tests.web.conftest import Opener, opener


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with serve_site() as site:
        yield site


@pytest.fixture(scope="module")
def fetching_server(site: Site, bentoml_home: Path, start_server: Callable[..., Server]) -> Server:
    return start_server(
        bentoml_home,
        allow_urls="true",
        url_ports=f"80,{site.port}",
        url_networks="127.0.0.1/32",
    )


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
    field.fill(site.url("/picture?x=1"))
    page.keyboard.press("Enter")
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
