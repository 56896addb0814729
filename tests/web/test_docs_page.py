"""`GET /docs`: Swagger UI in a browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving.base.version import __version__
from tests.drawings import caption_of
from tests.server import Server
from tests.web.browsing import expect
from tests.web.conftest import Opener
from tests.web.test_access import DESKTOP, PHONE, check

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


@pytest.mark.parametrize(
    ("scheme", "device", "opened"),
    [
        ("light", DESKTOP, ("captions-match", "models-listModels")),
        ("dark", PHONE, ("captions-caption",)),
    ],
    ids=["light", "dark"],
)
def test_axe_finds_nothing(
    open_matching_page: Opener, scheme: str, device: dict[str, Any], opened: tuple[str, ...]
) -> None:
    page = open_matching_page("/docs", color_scheme=scheme, reduced_motion="reduce", **device)
    expect(page.locator(".info .title")).to_contain_text("Captionbox")
    check(page)
    for operation in opened:
        page.locator(f"#operations-{operation} .opblock-summary").click()
        expect(page.locator(f"#operations-{operation} button.execute")).to_be_visible()
    check(page)


def test_operations_have_addresses(open_page: Opener) -> None:
    page = open_page("/docs#/captions/caption")
    expect(page.locator("#operations-captions-caption button.execute")).to_be_visible()
    # Not by the mouse, and more than once: the page scrolls to what its address names, and on a
    # busy machine comes to rest late.
    address = re.compile("#/models/listModels$")
    for _ in range(12):
        page.locator("#operations-models-listModels .opblock-summary").dispatch_event("click")
        page.wait_for_timeout(1000)
        if address.search(page.url):
            break
    expect(page).to_have_url(address)


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


def test_every_operation_can_be_tried_as_it_stands(
    open_matching_page: Opener, matching_server: Server, picture: Picture
) -> None:
    """Nothing is filled in by hand but the files: the examples are good ones."""
    page = open_matching_page("/docs")
    expect(page.locator(".opblock").first).to_be_visible()
    document = httpx.get(f"{matching_server.url}/docs.json").json()
    answers: dict[str, Any] = {}
    for path, item in document["paths"].items():
        for details in item.values():
            name = f"operations-{details['tags'][0]}-{details['operationId']}"
            operation = page.locator(f"#{name}")
            operation.locator(".opblock-summary").click()
            expect(operation.get_by_role("button", name="Execute")).to_be_visible()
            files = operation.locator("input[type=file]")
            if "multipart/form-data" in details.get("requestBody", {}).get("content", ()):
                expect(files).not_to_have_count(0)
            for field in files.all():
                field.set_input_files(picture("red ring"))
            where = f"**{path}".replace("{name}", "compact")
            with page.expect_response(where) as response:
                operation.get_by_role("button", name="Execute").click()
            assert response.value.status == 200, (path, response.value.text())
            status = operation.locator(".live-responses-table .response-col_status").last
            expect(status).to_have_text("200")
            answers[path] = response.value
            operation.locator(".opblock-summary-control").click()
    assert answers["/caption"].json()["captions"][0]["text"] == caption_of("red ring")
    (result,) = answers["/caption_batch"].json()["results"]
    assert result["captions"][0]["text"] == caption_of("red ring")
    texts = [one["text"] for one in answers["/match"].json()["matches"]]
    assert sorted(texts) == ["a cat in a tree", "a dog on the grass"]
    assert answers["/v1/chat/completions"].json()["choices"][0]["message"]["content"]
