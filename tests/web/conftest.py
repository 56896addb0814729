"""Real Chromium against a real server. Every test is skipped where either cannot be had."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.drawings import draw, encode
from tests.server import Server
from tests.web.browsing import PATIENCE

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

# Chromium says this of every answer of 400 and above, and of none, which is no fault of the page's.
_REFUSED = re.compile(r"Failed to load resource: (the server responded with a status|net::ERR_)")

# Chromium does not tell the bodies of requests that have files in them: their fields go along in a
# header, for tests to read.
_WATCH = """
addEventListener("securitypolicyviolation", (event) =>
  console.error(`CSP: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`));
const { fetch } = window;
window.fetch = (address, options = {}) => {
  if (!(options.body instanceof FormData)) return fetch(address, options);
  const fields = [...options.body].map(([name, value]) => [name, value.name ?? value]);
  const headers = { ...options.headers, "X-Fields": JSON.stringify(fields) };
  return fetch(address, { ...options, headers });
};
"""

Opener = Callable[..., Any]
"""Opens a page: `open_page(path="/", refusals=False, ready=SELECTOR, **context_options)`."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the browser tests last.

    As long as Playwright's synchronous interface is open, an event loop runs in this thread, and no
    test of ours can run one of its own.
    """
    folder = Path(__file__).parent
    items.sort(key=lambda item: folder in item.path.parents)


# For a file only: while playwright runs, no other test of this process can run an event loop.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Callable[[list[str]], Any]]:
    """Return a function that starts Chromium, with more flags than the usual ones."""
    if CHROMIUM is None:
        pytest.skip("no Chromium: Debian's package `chromium`, or `make programs`")
    api = pytest.importorskip(
        "playwright.sync_api", reason="no playwright: pip install -r requirements-dev.lock"
    )
    with api.sync_playwright() as playwright:

        def launch(flags: list[str]) -> Any:
            return playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *flags])

        yield launch


@pytest.fixture(scope="module")
def browser(chromium: Callable[[list[str]], Any]) -> Iterator[Any]:
    """Return the browser."""
    browser = chromium([])
    yield browser
    browser.close()


@pytest.fixture
def open_page(browser: Any, server: Server) -> Iterator[Opener]:
    """Return a function that opens a page and watches it: see `watch`."""
    yield from opener(browser, server)


@pytest.fixture
def open_matching_page(browser: Any, matching_server: Server) -> Iterator[Opener]:
    """Return a function that opens a page of a server with a matcher and watches it."""
    yield from opener(browser, matching_server)


def opener(browser: Any, server: Server) -> Iterator[Opener]:
    """Yield an `Opener`; afterwards, fail if a page that it opened misbehaved.

    No page may make a request to another host, violate its content security policy, write an error
    to the console or leave an exception uncaught, whatever the test is about.
    """
    faults: list[str] = []
    contexts = []

    def open_page(
        path: str = "/", refusals: bool = False, ready: str = "#options select", **options: Any
    ) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 860}, **options})
        context.set_default_timeout(PATIENCE * 1000)
        context.add_init_script(_WATCH)
        contexts.append(context)
        page = context.new_page()

        def on_console(message: Any) -> None:
            refused = refusals and _REFUSED.match(message.text)
            if message.type in ("error", "warning") and not refused:
                faults.append(f"console {message.type}: {message.text}")

        def on_request(request: Any) -> None:
            if not request.url.startswith((server.url + "/", "blob:", "data:")):
                faults.append(f"request to {request.url}")

        page.on("console", on_console)
        page.on("pageerror", lambda error: faults.append(f"uncaught: {error}"))
        page.on("request", on_request)
        page.goto(server.url + path)
        if path == "/":
            page.wait_for_selector(ready)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not faults, "\n".join(faults)


@pytest.fixture
def picture(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes the picture of a name, such as `"red ring"`, to a file."""

    def write(name: str, filename: str | None = None, size: int = 96) -> Path:
        path = tmp_path / (filename or f"{name}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        fmt = "JPEG" if path.suffix in (".jpg", ".jpeg") else "PNG"
        path.write_bytes(encode(draw(name, size), fmt))
        return path

    return write


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """Return a JPEG whose data ends early."""
    path = tmp_path / "broken.jpg"
    path.write_bytes(encode(draw("gold cross", 200), "JPEG")[:400])
    return path
