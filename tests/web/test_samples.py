"""Sample pictures, for visitors who have none at hand."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from tests.web.browsing import await_captions, captions, expect
from tests.web.conftest import Opener
from tests.web.samples import SAMPLES, SCENES, jpeg


def _pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


@pytest.mark.parametrize("name", SCENES)
def test_they_are_the_drawn_scenes(name: str) -> None:
    # Encoders differ from one version to the next, though not by much.
    difference = _pixels((SAMPLES / f"{name}.jpg").read_bytes()) - _pixels(jpeg(name))
    assert abs(difference).mean() < 2
    assert {path.stem for path in SAMPLES.iterdir()} == set(SCENES)


def test_a_sample_is_captioned_like_any_picture(open_page: Opener) -> None:
    page = open_page()
    sample = page.get_by_role("list", name="No picture at hand?").get_by_role("button")
    expect(sample).to_have_count(3)
    with page.expect_response("**/caption") as response:
        sample.first.press("Enter")
    await_captions(page, 1)
    said = response.value.json()["captions"][0]["text"]
    assert captions(page) == {"dog.jpg": said}
    expect(page.locator(".card-head")).to_contain_text("480 × 360")
    # They make way, and the keyboard's place is not lost.
    expect(page.locator("#samples")).to_be_hidden()
    expect(page.get_by_role("button", name="Choose pictures")).to_be_focused()
    page.get_by_role("button", name="Remove dog.jpg").click()
    expect(sample.first).to_be_visible()
