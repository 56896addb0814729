"""Cards: alternatives, confidence, copying, editing, options, models side by side."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.drawings import caption_of
from tests.web.browsing import await_captions, captions, card, choose, expect, fields
from tests.web.conftest import Opener

Picture = Callable[..., Path]


def test_confidence_is_told_in_words_and_as_a_number(open_page: Opener, picture: Picture) -> None:
    page = open_page()
    choose(page, picture("red ring"))
    await_captions(page, 1)
    expect(page.locator(".confidence")).to_have_text(re.compile(r"Confidence: Very sure · \d+ %"))


def test_another_wording_can_be_chosen(open_page: Opener, picture: Picture) -> None:
    page = open_page()
    choose(page, picture("red ring"))
    await_captions(page, 1)
    page.get_by_text("2 other ways to put it").click()
    other = page.locator(".alternatives li button").first
    words = re.sub(r"^Use instead: |\d+ %$", "", other.text_content() or "")
    other.click()
    assert captions(page) == {"red ring.png": words}
    # The list stays open, and has the caption that was there before.
    expect(page.locator(".alternatives")).to_contain_text(caption_of("red ring"))


def test_copy_in_three_forms(open_page: Opener, picture: Picture) -> None:
    page = open_page(permissions=["clipboard-read", "clipboard-write"])
    choose(page, picture("red ring", "my (1) ring.png"))
    await_captions(page, 1)
    expected = {
        "Text": 'Say "<ring>" & go_on',
        "alt": 'alt="Say &quot;&lt;ring>&quot; &amp; go_on"',
        "Markdown": '![Say "\\<ring\\>" & go\\_on](<my (1) ring.png>)',
    }
    page.get_by_role("button", name="Edit").click()
    page.get_by_label("Caption", exact=True).fill(expected["Text"])
    page.keyboard.press("Enter")
    for label, copied in expected.items():
        page.locator(".joined button", has_text=label).click()
        for _ in range(50):
            held = page.evaluate("navigator.clipboard.readText()")
            if held == copied:
                break
            page.wait_for_timeout(100)
        assert held == copied
    expect(page.locator(".joined")).to_contain_text("Copied")
    expect(page.locator(".joined")).not_to_contain_text("Copied")


def test_copy_where_the_browser_offers_no_clipboard(open_page: Opener, picture: Picture) -> None:
    page = open_page()
    # As on a page that another machine serves without TLS.
    page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    choose(page, picture("red ring"))
    await_captions(page, 1)
    page.locator(".joined button", has_text="Text").click()
    expect(page.locator(".joined")).to_contain_text("Copied")
    page.get_by_role("button", name="Edit").click()
    field = page.get_by_label("Caption", exact=True)
    field.fill("")
    page.keyboard.press("Control+V")
    expect(field).to_have_value(caption_of("red ring"))


def test_edit_by_hand(open_page: Opener, picture: Picture) -> None:
    page = open_page()
    choose(page, picture("red ring"))
    await_captions(page, 1)
    page.get_by_role("button", name="Edit").click()
    field = page.get_by_label("Caption", exact=True)
    expect(field).to_be_focused()
    field.fill("never mind")
    page.keyboard.press("Escape")
    assert captions(page) == {"red ring.png": caption_of("red ring")}
    page.get_by_role("button", name="Edit").click()
    field.fill("  My own\n words ")
    page.get_by_role("button", name="Save").click()
    assert captions(page) == {"red ring.png": "My own words"}
    expect(page.get_by_role("button", name="Edit")).to_be_focused()
    expect(page.locator(".result")).to_contain_text("Edited by you")
    page.get_by_role("button", name="Undo").click()
    assert captions(page) == {"red ring.png": caption_of("red ring")}


def test_options_reach_the_server_and_are_remembered(open_page: Opener, picture: Picture) -> None:
    page = open_page()
    with page.expect_request("**/caption") as request:
        choose(page, picture("red ring"))
    # The file's own name stays here.
    assert fields(request.value) == {"image": "picture", "model": "compact", "num_captions": "3"}
    await_captions(page, 1)
    page.get_by_label("Captions per picture").select_option("2")
    page.get_by_role("button", name="More options").click()
    page.get_by_label(re.compile("^Varied")).check()
    page.get_by_label("Longest caption").select_option("About 12 words")
    with page.expect_request("**/caption") as request:
        page.get_by_role("button", name="Caption again").click()
    sent = fields(request.value)
    assert sent.pop("seed").isdecimal()
    assert sent == {
        "image": "picture",
        "model": "compact",
        "num_captions": "2",
        "temperature": "0.8",
        "top_p": "0.9",
        "max_length": "14",
    }
    await_captions(page, 1)
    expect(page.get_by_role("button", name="Caption again")).to_be_hidden()
    page.reload()
    expect(page.get_by_label("Captions per picture")).to_have_value("2")


def test_models_side_by_side(open_page: Opener, picture: Picture) -> None:
    page = open_page()

    def two(route: Any) -> None:
        answer = route.fetch().json()
        answer["data"].append({**answer["data"][0], "id": "other", "default": False})
        route.fulfill(json=answer)

    def caption(route: Any) -> None:
        text = f"What {fields(route.request)['model']} says."
        route.fulfill(json={"captions": [{"text": text, "confidence": 0.5, "log_prob": -1}]})

    page.route("**/v1/models", two)
    page.route("**/caption", caption)
    page.reload()
    page.get_by_role("checkbox", name="other").check()
    choose(page, picture("red ring"), picture("blue bar"))
    await_captions(page, 4)
    for name in ("red ring", "blue bar"):
        texts = card(page, f"{name}.png").locator(".caption").all_inner_texts()
        assert texts == ["What compact says.", "What other says."]
        assert card(page, f"{name}.png").locator("h3").all_inner_texts() == ["compact", "other"]
    results = card(page, "red ring.png").locator(".result").all()
    left, right = (result.bounding_box() for result in results)
    assert left["y"] == right["y"] and left["x"] < right["x"]


def test_addresses_are_taken_where_the_server_fetches_them(open_page: Opener) -> None:
    page = open_page()
    expect(page.locator("#url-form")).to_be_hidden()
    asked = []

    def fetches(route: Any) -> None:
        document = route.fetch().json()
        document["paths"]["/caption_url"] = {"post": {}}
        route.fulfill(json=document)

    def caption(route: Any) -> None:
        asked.append(json.loads(route.request.post_data))
        answer = {"captions": [{"text": "A far picture.", "confidence": 0.5, "log_prob": -1}]}
        route.fulfill(json=answer)

    page.route("**/docs.json", fetches)
    page.route("**/caption_url", caption)
    page.reload()
    page.get_by_label("Or from an address").fill("https://example.org/far.jpg?size=1")
    page.get_by_role("button", name="Add", exact=True).click()
    await_captions(page, 1)
    assert captions(page) == {"far.jpg": "A far picture."}
    assert asked == [
        {"url": "https://example.org/far.jpg?size=1", "model": "compact", "num_captions": 3}
    ]
