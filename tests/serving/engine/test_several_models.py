"""Several methods in one server: a real one, with a tiny `compact` and a small `vit-gpt2`."""

from __future__ import annotations

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from models.api.options import CaptionOptions
from models.pictures.sizing import to_pixels
from models.registry import load_captioner
from serving.contract.schemas import CaptionResponse, ModelsResponse
from tests.asking import PICTURE, check
from tests.checkpoints import random_pictures
from tests.drawings import caption_of
from tests.server import Server


@pytest.fixture(scope="module")
def client(several_server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=several_server.url, timeout=60) as client:
        yield client


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels.transpose(1, 2, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def ask(client: httpx.Client, image: bytes = PICTURE, **fields: Any) -> CaptionResponse:
    response = client.post("/caption", files={"image": image}, data=fields)
    assert response.status_code == 200, response.text
    return CaptionResponse.model_validate(response.json())


def test_each_answers_under_its_name(client: httpx.Client, vit_gpt2: Path) -> None:
    assert ask(client).model.name == "compact"
    assert ask(client, model="compact").captions[0].text == caption_of("red ring")
    answer = ask(client, model="vit-gpt2")
    assert (answer.model.name, answer.model.method) == ("vit-gpt2", "vit-gpt2")
    captioner = load_captioner(vit_gpt2)
    pixels = to_pixels(Image.open(io.BytesIO(PICTURE)), captioner.preprocess)
    expected = captioner.caption(pixels[None], CaptionOptions())[0][0]
    assert answer.captions[0].text == expected.text
    assert answer.captions[0].log_prob == pytest.approx(expected.log_prob, abs=1e-3)


def test_the_model_may_stand_in_the_query(client: httpx.Client) -> None:
    for name in ("compact", "vit-gpt2"):
        response = client.post(f"/caption?model={name}", files={"image": PICTURE})
        assert response.json()["model"]["name"] == name
    twice = client.post("/caption?model=compact", files={"image": PICTURE}, data={"model": "x"})
    assert "given 2 times" in check(twice, 422, "invalid-request").detail
    unknown = client.post("/caption?modle=compact", files={"image": PICTURE})
    assert "modle: unknown field" in check(unknown, 422, "invalid-request").detail


def test_requests_for_both_at_once_get_what_each_gets_alone(client: httpx.Client) -> None:
    images = [png(pixels) for pixels in random_pictures(6)]
    asked = [(image, name) for image in images for name in ("compact", "vit-gpt2")]
    alone = [ask(client, image, model=name).captions[0].text for image, name in asked]
    with ThreadPoolExecutor(len(asked)) as pool:
        together = list(pool.map(lambda one: ask(client, one[0], model=one[1]), asked))
    assert [answer.captions[0].text for answer in together] == alone
    assert [answer.model.name for answer in together] == [name for _, name in asked]
    by_vit = {text for text, (_, name) in zip(alone, asked, strict=True) if name == "vit-gpt2"}
    assert len(by_vit) > 3


def test_the_list_tells_what_each_can_do(client: httpx.Client) -> None:
    answer = ModelsResponse.model_validate(client.get("/v1/models").json())
    compact, vit_gpt2 = answer.data
    assert (compact.id, compact.default, vit_gpt2.id, vit_gpt2.default) == (
        ("compact", True, "vit-gpt2", False)
    )
    assert vit_gpt2.method == "vit-gpt2"
    assert vit_gpt2.version == "test"
    assert vit_gpt2.parameters > 10_000
    assert "attention" in vit_gpt2.options and "prompt" not in vit_gpt2.options
    assert (vit_gpt2.input.height, vit_gpt2.input.width, vit_gpt2.input.fit) == (64, 64, "squash")
    assert vit_gpt2.data == ["coco/train: 82,783 pictures"]
    assert vit_gpt2.metrics == {"coco/val": {"cider": 0.9}}
    (measured,) = vit_gpt2.scores
    assert measured.scores == {"cider": 0.9} and measured.conditions.data == "coco/val"
    assert vit_gpt2.licence == "apache-2.0"
    assert vit_gpt2.source.startswith("imported from directory ")
    assert client.get("/v1/models/vit-gpt2").json() == vit_gpt2.model_dump()


@pytest.mark.parametrize(("name", "side"), [("compact", 1), ("vit-gpt2", 4)])
def test_attention_has_each_models_own_grid(client: httpx.Client, name: str, side: int) -> None:
    found = [
        word
        for pixels in random_pictures(3)
        for word in ask(client, png(pixels), model=name, attention="true").captions[0].words or []
    ]
    assert len(found) > 3
    for word in found:
        grid = np.array(word.attention)
        assert grid.shape == (side, side)
        assert grid.sum() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("name", ["compact", "vit-gpt2"])
def test_what_a_model_cannot_do_is_refused(client: httpx.Client, name: str) -> None:
    # Before the picture is even decoded: what comes with the question is none.
    files = {"image": b"no picture"}
    response = client.post("/caption", files=files, data={"model": name, "prompt": "a photo of"})
    details = check(response, 422, "unsupported-option")
    assert f"{name!r} cannot honour the option 'prompt'" in details.detail
    response = client.post(
        "/caption_url", json={"url": "http://127.0.0.1:9/", "model": name, "prompt": "a photo of"}
    )
    check(response, 422, "unsupported-option")


def test_other_names_are_refused(client: httpx.Client) -> None:
    response = client.post("/caption", files={"image": PICTURE}, data={"model": "git"})
    assert "served: compact, vit-gpt2" in check(response, 404, "unknown-model").detail
