"""`GET /docs`: Swagger UI in a browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from serving.version import __version__
from tests.drawings import caption_of
from tests.web.browsing import expect
from tests.web.conftest import Opener

Picture = Callable[..., Path]


def test_title_version_and_routes_are_ours_in_light_and_dark(
    open_page: Opener, tmp_path: Path
) -> None:
    page = open_page("/docs", color_scheme="light")
    expect(page.locator(".info .title")).to_contain_text("Captionbox")
    expect(page.locator(".info .version").first).to_have_text(__version__)
    expect(page.locator("#operations-captions-caption .opblock-summary-path")).to_be_visible()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.screenshot(path=tmp_path / f"{scheme}.png")
        dark = page.evaluate("document.documentElement.classList.contains('dark-mode')")
        assert dark == (scheme == "dark")


def test_try_it_out_with_a_file(open_page: Opener, picture: Picture) -> None:
    page = open_page("/docs")
    page.locator("#operations-captions-caption .opblock-summary").click()
    page.locator("#operations-captions-caption input[type=file]").set_input_files(
        picture("red ring")
    )
    page.get_by_role("button", name="Execute").click()
    answer = page.locator("#operations-captions-caption .live-responses-table")
    expect(answer).to_contain_text(caption_of("red ring"))
    page.locator("tr[data-property-name=num_captions] input[type=text]").fill("2")
    with page.expect_response("**/caption") as response:
        page.get_by_role("button", name="Execute").click()
    assert len(response.value.json()["captions"]) == 2
