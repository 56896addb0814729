"""The page on a server that wants an API key."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from serving.base.keys import make_entry
from tests.locked import ANNA, CARL, STRANGER
from tests.server import Server
from tests.web.browsing import await_captions, captions, choose, expect
from tests.web.conftest import Opener, opener
from tests.web.test_access import check

Picture = Callable[..., Path]


@pytest.fixture
def open_locked(browser: Any, locked_server: Server) -> Iterator[Opener]:
    """Return `open_page` for the locked server, whose refusals are what is wanted here."""
    yield from opener(browser, locked_server)


def keys_sent(page: Any) -> list[str]:
    """Return a list that grows with what each request that needs a key has as `Authorization`."""
    sent: list[str] = []

    def note(request: Any) -> None:
        if request.url.endswith(("/caption", "/v1/models")):
            sent.append(request.headers.get("authorization", ""))

    page.on("request", note)
    return sent


def test_key_prompt(open_locked: Opener, picture: Picture) -> None:
    page = open_locked(refusals=True, ready="dialog")
    dialog = page.get_by_role("dialog", name="This server needs a key")
    expect(dialog).to_be_visible()
    sent = keys_sent(page)
    page.reload()
    expect(dialog.get_by_role("textbox", name="Key")).to_be_focused()
    dialog.get_by_role("textbox", name="Key").fill(STRANGER)
    page.keyboard.press("Enter")
    expect(dialog.get_by_text("The server did not accept that key.")).to_be_visible()
    check(page)
    dialog.get_by_role("textbox", name="Key").fill(ANNA)
    dialog.get_by_role("button", name="Continue").click()
    choose(page, picture("red ring"), picture("blue bar"), picture("gold bar"))
    await_captions(page, 3)
    assert captions(page)["red ring.png"] == "A red ring on paper."
    assert sent[:3] == ["", f"Bearer {STRANGER}", f"Bearer {ANNA}"]
    # It lasts for the tab, and is asked for once, not once a picture.
    page.reload()
    choose(page, picture("red ring"))
    await_captions(page, 1)
    assert set(sent[3:]) == {f"Bearer {ANNA}"}
    assert ANNA not in page.evaluate("JSON.stringify(localStorage) + document.cookie")


def test_many_refusals_ask_for_the_key_once(
    open_locked: Opener, picture: Picture, key_file: Path
) -> None:
    before = key_file.read_text()
    key_file.write_text(f"{before}\n{make_entry('carl', CARL)}")
    page = open_locked(refusals=True, ready="dialog")
    page.get_by_role("textbox", name="Key").fill(CARL)
    page.keyboard.press("Enter")
    choose(page, picture("red ring"))
    await_captions(page, 1)
    # The key is withdrawn.
    key_file.write_text(before)
    choose(page, *(picture(name) for name in ("blue bar", "gold bar", "red bar")))
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("The server did not accept that key.")).to_be_visible()
    expect(dialog).to_have_count(1)
    page.get_by_role("textbox", name="Key").fill(f"  {ANNA} ")
    page.keyboard.press("Enter")
    await_captions(page, 4)
    expect(dialog).to_have_count(0)


def test_giving_up_on_the_key(open_locked: Opener, picture: Picture) -> None:
    page = open_locked(refusals=True, ready="dialog")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#banner")).to_contain_text("enter a key that this server accepts")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("dialog")).to_be_visible()


def test_the_documentation_can_be_read_and_tried(open_locked: Opener) -> None:
    page = open_locked("/docs", refusals=True)
    page.get_by_role("button", name="Authorize").click()
    page.get_by_label("auth-bearer-value").fill(ANNA)
    page.get_by_role("button", name="Apply credentials").first.click()
    page.get_by_role("button", name="Close").first.click()
    page.locator("#operations-models-listModels .opblock-summary-control").click()
    page.get_by_role("button", name="Execute").click()
    answer = page.locator(".live-responses-table tbody .response-col_status")
    expect(answer).to_have_text("200")
