"""A page of another origin in a browser: what it may read, and what the browser keeps from it."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.asking import PICTURE
from tests.drawings import caption_of
from tests.locked import ANNA, SETTING
from tests.picture_site import Site, serve_site
from tests.server import Server

_ASK = """
async ([address, key, url]) => {
  const headers = { "Content-Type": "application/json", Authorization: `Bearer ${key}` };
  const body = JSON.stringify({ url });
  try {
    const answer = await fetch(address, { method: "POST", headers, body });
    const id = answer.headers.get("X-Request-ID");
    return { status: answer.status, id, body: await answer.json() };
  } catch (error) {
    return { failed: error.name };
  }
}
"""

URL = "data:image/png;base64," + base64.b64encode(PICTURE).decode()


@pytest.fixture(scope="module")
def sites() -> Iterator[tuple[Site, Site]]:
    """Return two sites: the server lets in the pages of the first."""
    with serve_site() as first, serve_site() as second:
        yield first, second


@pytest.fixture(scope="module")
def letting_in(
    sites: tuple[Site, Site], bentoml_home: Path, start_server: Callable[..., Server]
) -> Server:
    return start_server(bentoml_home, cors_origins=sites[0].url(""), api_keys=SETTING)


def ask(browser: Any, site: Site, server: Server, key: str = ANNA) -> dict[str, Any]:
    page = browser.new_page()
    page.goto(site.url("/missing"))
    answer: dict[str, Any] = page.evaluate(_ASK, [f"{server.url}/caption_url", key, URL])
    page.close()
    return answer


def test_a_page_that_is_let_in(browser: Any, sites: tuple[Site, Site], letting_in: Server) -> None:
    answer = ask(browser, sites[0], letting_in)
    assert answer["status"] == 200 and answer["id"]
    assert answer["body"]["captions"][0]["text"] == caption_of("red ring")
    refused = ask(browser, sites[0], letting_in, key="wrong")
    assert refused["status"] == 401 and refused["id"] == refused["body"]["request_id"]


def test_a_page_that_is_not(browser: Any, sites: tuple[Site, Site], letting_in: Server) -> None:
    assert ask(browser, sites[1], letting_in) == {"failed": "TypeError"}
