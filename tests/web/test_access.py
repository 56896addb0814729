"""For everyone: axe-core finds nothing, the keyboard reaches all, light and dark, large and small.

`pytest tests/web/test_access.py --basetemp DIR` leaves the pictures of the page under DIR.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.web.browsing import await_captions, choose, expect
from tests.web.conftest import Opener

Picture = Callable[..., Path]
DESKTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 860}}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "has_touch": True,
    "is_mobile": True,
}


_NAME = """() => {
  const { activeElement } = document;
  return activeElement.getAttribute("aria-label") || activeElement.innerText;
}"""


def check(page: Any) -> None:
    """Fail if axe-core finds a violation of any of its rules, best practices included."""
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright",
        reason="no axe: pip install -r requirements-dev.lock",
    )
    results = axe.Axe().run(page)
    assert results.violations_count == 0, results.generate_report()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("device", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_axe_finds_nothing_and_pictures_of_it(
    open_page: Opener,
    picture: Picture,
    broken: Path,
    tmp_path: Path,
    scheme: str,
    device: dict[str, Any],
) -> None:
    page = open_page(refusals=True, color_scheme=scheme, reduced_motion="reduce", **device)
    page.screenshot(path=tmp_path / "empty.png")
    check(page)
    expect(page.locator(".privacy")).to_contain_text("nothing is stored")
    page.get_by_role("button", name="More options").click()
    choose(page, picture("red ring"), picture("blue bar"), picture("gold cross"), broken)
    await_captions(page, 3)
    page.get_by_text("2 other ways to put it").first.click()
    page.get_by_role("button", name="Where it looked").first.click()
    page.locator("button.word").nth(2).click()
    page.get_by_role("button", name="Edit").nth(1).click()
    page.locator(".menu summary").click()
    check(page)
    page.keyboard.press("Escape")
    page.evaluate("scrollTo(0, 0)")
    page.screenshot(path=tmp_path / "captions.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") == device["viewport"]["width"]
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 22, 24)"
    assert dark == (scheme == "dark")


def test_all_of_it_with_the_keyboard(open_page: Opener, picture: Picture) -> None:
    page = open_page()
    # The browser is told to leave choosers to us; a key is faster than that may be.
    page.on("filechooser", lambda _: None)

    def tab_to(name: str) -> None:
        for _ in range(40):
            page.keyboard.press("Tab")
            focused = page.evaluate(_NAME)
            if name in focused:
                outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
                assert outline == "solid", f"{name} does not show that it has the focus"
                return
        raise AssertionError(f"Tab does not reach {name}")

    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.innerText") == "Skip to the captions"
    tab_to("Choose pictures")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files([picture("red ring"), picture("blue bar")])
    await_captions(page, 2)
    expect(page.get_by_role("status")).to_have_text("2 pictures captioned")
    tab_to("Download")
    page.keyboard.press("Enter")
    tab_to("Table")
    page.keyboard.press("Escape")
    expect(page.locator(".menu summary")).to_be_focused()
    tab_to("Remove red ring.png")
    tab_to("2 other ways")
    page.keyboard.press("Enter")
    tab_to("Use instead")
    page.keyboard.press("Enter")
    tab_to("Copy the caption")
    tab_to("Edit")
    page.keyboard.press("Enter")
    page.keyboard.type("!")
    page.keyboard.press("Enter")
    expect(page.locator(".edited")).to_have_count(1)
    tab_to("Remove blue bar.png")
    page.keyboard.press("Enter")
    expect(page.locator(".card")).to_have_count(1)
