"""Cards: alternatives, confidence, copying, editing, options, models side by side."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.drawings import caption_of
from tests.server import Server
from tests.web.browsing import await_captions, captions, card, choose, expect, fields
from tests.web.conftest import Opener, opener

Picture = Callable[..., Path]

# What the copying buttons say goes away by itself, on a busy machine before a test can look.
_NOTE_LABELS = """(button) => {
  const { dataset } = document.body;
  dataset.labels = "";
  const note = () => { dataset.labels += button.textContent; };
  new MutationObserver(note).observe(button, { characterData: true, subtree: true });
}"""


def test_confidence_is_told_in_words_and_as_a_number(open_page: Opener, picture: Picture) -> None:
    page = open_page()
    choose(page, picture("red ring"))
    await_captions(page, 1)
    expect(page.locator(".confidence")).to_have_text(re.compile(r"Confidence: Very sure · \d+ %"))


def test_words_and_number_agree(open_page: Opener) -> None:
    shown = """async (confidences) => {
      const { confidenceView } = await import("/js/card/confidence.js");
      return confidences.map((confidence) => confidenceView(confidence).textContent);
    }"""
    confidences = [0.659, 0.654, 0.536, 0.534, 0.35, 0.001]
    words = ["Very sure", "Fairly sure", "Fairly sure", "Not so sure", "Not so sure", "Guessing"]
    percents = [66, 65, 54, 53, 35, 0]
    assert open_page().evaluate(shown, confidences) == [
        f"Confidence: {word} · {percent} %" for word, percent in zip(words, percents, strict=True)
    ]


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
        button = page.locator(".joined button").filter(has_text=label)
        button.evaluate(_NOTE_LABELS)
        button.click()
        expect(page.locator("body")).to_have_attribute("data-labels", "Copied")
        assert page.evaluate("navigator.clipboard.readText()") == copied
    # Said for a moment only.
    expect(page.locator(".joined")).not_to_contain_text("Copied")


def test_copy_where_the_browser_offers_no_clipboard(open_page: Opener, picture: Picture) -> None:
    page = open_page()
    # As on a page that another machine serves without TLS.
    page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    choose(page, picture("red ring"))
    await_captions(page, 1)
    page.locator(".joined button", has_text="Text").click()
    expect(page.get_by_role("status")).to_have_text("Copied")
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


@pytest.fixture
def open_several(browser: Any, several_server: Server) -> Iterator[Opener]:
    yield from opener(browser, several_server)


def test_models_side_by_side(
    open_several: Opener, picture: Picture, several_server: Server
) -> None:
    page = open_several()
    models = page.get_by_role("group", name="Models")
    expect(models.get_by_role("checkbox", name="compact")).to_be_checked()
    models.get_by_role("checkbox", name="vit-gpt2").check()
    files = [picture("red ring"), picture("blue bar")]
    choose(page, *files)
    await_captions(page, 4)
    for file in files:
        found = card(page, file.name)
        assert found.locator("h3").all_inner_texts() == ["compact", "vit-gpt2"]
        # Each column has what that model says of that picture.
        said = [ask(several_server, file, model) for model in ("compact", "vit-gpt2")]
        assert said[0] == caption_of(file.stem) != said[1]
        assert found.locator(".caption").all_inner_texts() == said
    results = card(page, "red ring.png").locator(".result").all()
    left, right = (result.bounding_box() for result in results)
    assert left["y"] == right["y"] and left["x"] < right["x"]
    page.get_by_role("checkbox", name="compact").uncheck()
    page.get_by_role("button", name="Caption again").click()
    await_captions(page, 2)
    expect(page.locator("h3")).to_have_count(0)


def ask(server: Server, file: Path, model: str) -> str:
    """Return what a model says about a picture, without the page."""
    files, data = {"image": file.read_bytes()}, {"model": model, "num_captions": "3"}
    answer = httpx.post(f"{server.url}/caption", files=files, data=data, timeout=120)
    text: str = answer.json()["captions"][0]["text"]
    return text
