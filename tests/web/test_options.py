"""The options: told in the same words everywhere, opened on the screen, models by what they are."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server import Server
from tests.web.browsing import await_captions, choose, expect, fields
from tests.web.conftest import Opener, opener
from tests.web.modules import JS
from tests.web.test_access import PHONE

Picture = Callable[..., Path]
LAPTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}}


@pytest.fixture
def open_several(browser: Any, several_server: Server) -> Iterator[Opener]:
    """Return an `Opener` for a server of two models."""
    yield from opener(browser, several_server)


def test_advice_names_what_is_on_the_page() -> None:
    advice = (JS / "server/errors.js").read_text(encoding="utf-8")
    panel = (JS / "options/panel.js").read_text(encoding="utf-8")
    quoted = set(re.findall("“([^”]+)”", advice))
    assert quoted == {"More options", "Shrink large pictures before sending"}
    assert all(f'"{words}"' in panel for words in quoted)


def test_more_options_open_on_the_screen(open_page: Opener) -> None:
    page = open_page(**LAPTOP)
    toggle = page.get_by_role("button", name="More options")
    expect(toggle).to_have_attribute("aria-expanded", "false")
    toggle.click()
    expect(toggle).to_have_attribute("aria-expanded", "true")
    expect(page.locator("#more-options")).to_be_in_viewport(ratio=1)
    expect(toggle).to_be_in_viewport(ratio=1)


def test_a_telephone_is_not_told_to_drop_or_paste(open_page: Opener) -> None:
    words = open_page(**PHONE).locator("main").inner_text()
    assert "Choose or take photos." in words
    assert not re.search("drop|paste", words, re.IGNORECASE)
    assert "Drop in your photos." in open_page(**LAPTOP).locator("main").inner_text()


@pytest.mark.parametrize("device", [LAPTOP, PHONE], ids=["laptop", "phone"])
def test_where_it_looked_is_said_beside_the_confidence(
    open_page: Opener, picture: Picture, device: dict[str, Any]
) -> None:
    page = open_page(**device)
    choose(page, picture("red ring"), picture("blue bar"), picture("gold bar"))
    await_captions(page, 3)
    look = page.get_by_role("button", name="Where it looked").first
    assert look.inner_text() == "Where it looked"
    button, words = look.bounding_box(), page.locator(".confidence").first.bounding_box()
    assert button["width"] > 80, "the words are not to be seen"
    middle = words["y"] + words["height"] / 2
    assert button["y"] < middle < button["y"] + button["height"]


def test_models_are_told_by_size_and_strength_and_remembered(
    open_several: Opener, picture: Picture
) -> None:
    page = open_several()
    served = page.get_by_role("list", name="Models").locator("li")
    expect(served).to_have_text(
        [re.compile("^compact .* weights"), re.compile("^vit-gpt2 .* weights")]
    )
    group = page.get_by_role("group", name="Models")
    group.get_by_role("checkbox", name="vit-gpt2").check()
    group.get_by_role("checkbox", name="compact").uncheck()
    page.reload()
    expect(group.get_by_role("checkbox", name="vit-gpt2")).to_be_checked()
    expect(group.get_by_role("checkbox", name="compact")).not_to_be_checked()
    with page.expect_request("**/caption") as request:
        choose(page, picture("red ring"))
    assert fields(request.value)["model"] == "vit-gpt2"
    await_captions(page, 1)


def test_a_model_in_words(open_page: Opener) -> None:
    tell = """async (model) => {
      const { modelSize, modelStrength } = await import("/js/server/model-words.js");
      return [modelSize(model), modelStrength(model)];
    }"""
    page = open_page()
    data = ["Flickr8k, Karpathy: 5,999", "COCO, some", "Image trunk: M", "Flickr8k, more"]
    own = {"parameters": 11_071_308, "weights_bytes": 22_162_992, "known": None, "data": data}
    assert page.evaluate(tell, own) == [
        "11 million weights, 22 MB",
        "Trained on Flickr8k, COCO",
    ]
    known = {"parameters": 4000, "weights_bytes": 0, "known": {"good_at": "photographs"}}
    assert page.evaluate(tell, known) == ["4,000 weights", "Good at: photographs"]
