"""What the browser tests do over and over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PATIENCE = 120
"""Seconds that a test waits for what has to come. Much: no test is about the speed of a machine."""

WATCH_URLS = """() => {
  const { createObjectURL, revokeObjectURL } = URL;
  const open = (window.openUrls = new Set());
  URL.createObjectURL = (blob) => {
    const url = createObjectURL(blob);
    open.add(url);
    return url;
  };
  URL.revokeObjectURL = (url) => {
    open.delete(url);
    revokeObjectURL(url);
  };
}"""
"""Have `window.openUrls` hold the addresses of pictures that the page has not let go of."""


def expect(locator: Any) -> Any:
    """Return Playwright's assertions about a locator; they wait for what they say to come true."""
    # Imported here: where Playwright is not installed, tests are skipped by their fixtures.
    from playwright.sync_api import expect as assertions

    assertions.set_options(timeout=PATIENCE * 1000)
    return assertions(locator)


def choose(page: Any, *files: Path) -> None:
    """Choose files with the file chooser."""
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose pictures").click()
    chooser.value.set_files(list(files))


class Held:
    """Requests for captions that are held back until they are let go.

    Attributes:
        routes: Playwright's, of the requests that are held.
    """

    def __init__(self, page: Any) -> None:
        self.routes: list[Any] = []
        self._gone_on = False
        page.route("**/caption", self._take)

    def _take(self, route: Any) -> None:
        if self._gone_on:
            route.continue_()
        else:
            self.routes.append(route)

    def let_new_ones_pass(self) -> None:
        """Hold no more; those that are held stay so."""
        self._gone_on = True

    def let_go(self) -> None:
        """Let all pass."""
        self.let_new_ones_pass()
        for route in self.routes:
            route.continue_()


def card(page: Any, name: str) -> Any:
    """Return the card of a file."""
    return page.locator(".card", has=page.locator("h2", has_text=name))


def captions(page: Any) -> dict[str, str]:
    """Return the captions on the page by the names of the pictures."""
    cards = page.locator(".card:has(.caption)")
    # Not the inner texts: of what is off the screen, the browser lays nothing out.
    names = cards.locator("h2").all_text_contents()
    return dict(zip(names, cards.locator(".caption").all_text_contents(), strict=True))


def await_captions(page: Any, number: int) -> None:
    """Wait until so many captions are on the page and nothing is being worked on."""
    expect(page.locator("[data-state=done]")).to_have_count(number)
    expect(page.get_by_role("button", name="Cancel", exact=True)).to_be_hidden()


def write(page: Any, name: str, words: str) -> None:
    """Replace the caption of a file by hand."""
    found = card(page, name)
    found.get_by_role("button", name="Edit").click()
    found.get_by_label("Caption", exact=True).fill(words)
    found.get_by_role("button", name="Save").click()


def undo_bar(page: Any) -> Any:
    """Return the bar that says what was just done and takes it back."""
    return page.get_by_role("region", name="What was just done")


def drag(page: Any, *paths: Path) -> None:
    """Drag files and folders from outside the browser onto the page and let go of them."""
    session = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, "x": 640, "y": 300, "data": data})


def fields(request: Any) -> dict[str, str]:
    """Return the fields of a request's form; of a file, its name."""
    return dict(json.loads(request.headers["x-fields"]))


def problem(slug: str, title: str, status: int, **headers: str) -> dict[str, Any]:
    """Return arguments for `route.fulfill`: a refusal as the server words it."""
    return {
        "status": status,
        "headers": {"Content-Type": "application/problem+json", **headers},
        "json": {
            "type": f"/problems/{slug}",
            "title": title,
            "status": status,
            "detail": f"{title} it is.",
            "instance": "/caption",
            "request_id": "r-17",
        },
    }
