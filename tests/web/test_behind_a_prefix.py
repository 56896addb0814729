"""The page and Swagger UI behind a proxy that puts a prefix before every path."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest

from tests.drawings import caption_of
from tests.server import Server
from tests.web.browsing import PATIENCE, await_captions, captions, choose, expect
from tests.web.relay import Relay, relay

Picture = Callable[..., Path]
PREFIXES = ["/captions", "/a/b.c/captionbox"]


@pytest.fixture(params=PREFIXES)
def behind(server: Server, request: pytest.FixtureRequest) -> Iterator[Relay]:
    """Return a proxy of the server; afterwards, fail if anything was asked for beside it."""
    with relay(server.url, request.param) as running:
        yield running
        assert not running.strays


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """Return a page that is still blank."""
    context = browser.new_context()
    context.set_default_timeout(PATIENCE * 1000)
    yield context.new_page()
    context.close()


def test_the_documents_server_is_beside_the_document(behind: Relay) -> None:
    address = f"{behind.url}/docs.json"
    (server,) = httpx.get(address).json()["servers"]
    assert urljoin(address, server["url"]) == f"{behind.url}/"


def test_swagger_asks_the_server_behind_the_prefix(
    behind: Relay, page: Any, picture: Picture
) -> None:
    page.goto(f"{behind.url}/docs")
    for operation, path in (("models-listModels", "/v1/models"), ("captions-caption", "/caption")):
        block = page.locator(f"#operations-{operation}")
        block.locator(".opblock-summary").click()
        files = block.locator("input[type=file]")
        expect(block.get_by_role("button", name="Execute")).to_be_visible()
        for field in files.all():
            field.set_input_files(picture("red ring"))
        with page.expect_response(lambda answer, path=path: answer.url.endswith(path)) as answer:
            block.get_by_role("button", name="Execute").click()
        assert (answer.value.url, answer.value.status) == (behind.url + path, 200)
        # What is shown to be copied leads there, too.
        expect(block.locator(".request-url pre")).to_have_text(behind.url + path)
    expect(block.locator(".live-responses-table")).to_contain_text(caption_of("red ring"))


def test_the_page_captions_and_leads_on(behind: Relay, page: Any, picture: Picture) -> None:
    page.goto(f"{behind.url}/")
    page.wait_for_selector("#options select")
    choose(page, picture("red ring"))
    await_captions(page, 1)
    assert captions(page) == {"red ring.png": caption_of("red ring")}
    links = page.eval_on_selector_all("a[href]", "all => all.map((a) => a.href)")
    inside = [link for link in links if link.startswith("http://127.0.0.1")]
    assert all(link.startswith(behind.url) for link in inside)
    page.goto(f"{behind.url}/docs")
    page.locator("header.docs-top a").click()
    page.wait_for_url(f"{behind.url}/")
