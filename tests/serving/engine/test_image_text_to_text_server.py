"""A tiny BLIP imported from a directory and served beside `compact`."""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import OpenAI

from tests.drawings import NAMES, caption_of, draw, encode
from tests.models.captioners.vlm.families import MAKERS
from tests.server import ROOT, Server, environment, install


@pytest.fixture(scope="module")
def blip_server(
    tiny_model: Path, tmp_path_factory: pytest.TempPathFactory, start_server: Callable[..., Server]
) -> Server:
    """Return a server of `compact` and of an imported `tiny-blip`."""
    home, source = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("blip")
    install(home, tiny_model)
    MAKERS["blip"](source)
    subprocess.run(
        [sys.executable, "-m", "models", "import", str(source), "--as", "tiny-blip"],
        cwd=ROOT,
        env=environment(home),
        check=True,
        timeout=120,
    )
    return start_server(home, models="compact,tiny-blip")


def ask(server: Server, name: str, **fields: str) -> httpx.Response:
    image = encode(draw(name))
    return httpx.post(f"{server.url}/caption", files={"image": image}, data=fields, timeout=30)


def texts(response: httpx.Response) -> list[str]:
    answer: dict[str, Any] = response.json()
    assert response.status_code == 200, answer
    return [caption["text"] for caption in answer["captions"]]


def test_both_models_answer(blip_server: Server) -> None:
    assert texts(ask(blip_server, NAMES[0])) == [caption_of(NAMES[0])]
    answers = [ask(blip_server, name, model="tiny-blip") for name in NAMES]
    assert len({texts(answer)[0] for answer in answers}) > 4
    model = answers[0].json()["model"]
    assert (model["name"], model["method"]) == ("tiny-blip", "image-text-to-text")


def test_a_prompt_is_continued(blip_server: Server) -> None:
    for text in texts(
        ask(blip_server, NAMES[1], model="tiny-blip", prompt="The red man", num_captions="3")
    ):
        assert text.startswith("The red man")
    assert not texts(ask(blip_server, NAMES[1], model="tiny-blip"))[0].startswith("The red man")
    # Said in words that the picture does not need.
    assert not texts(ask(blip_server, NAMES[1], model="tiny-blip", prompt="a photo of a man"))[
        0
    ].startswith("A photo")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"prompt": "a dog"}, "'compact' cannot honour the option 'prompt'"),
        ({"model": "tiny-blip", "attention": "true"}, "cannot honour the option 'attention'"),
        ({"model": "tiny-blip", "prompt": "a [SEP] dog"}, "'[SEP]' is a marker"),
        ({"model": "tiny-blip", "prompt": "dog " * 90}, "90 tokens, and this model has room for"),
    ],
)
def test_what_a_model_cannot_honour_is_refused(
    blip_server: Server, fields: dict[str, str], reason: str
) -> None:
    answer = ask(blip_server, NAMES[0], **fields)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert reason in answer.json()["detail"]


def test_in_a_chat_the_text_is_no_prompt_for_a_model_that_only_continues_one(
    blip_server: Server,
) -> None:
    url = f"data:image/png;base64,{base64.b64encode(encode(draw(NAMES[1]))).decode()}"
    picture: Any = {"type": "image_url", "image_url": {"url": url}}
    with OpenAI(base_url=f"{blip_server.url}/v1", api_key="none", max_retries=0) as client:

        def chat(model: str, text: str) -> str:
            content: Any = [{"type": "text", "text": text}, picture]
            completion = client.chat.completions.create(
                model=model, messages=[{"role": "user", "content": content}]
            )
            return completion.choices[0].message.content or ""

        (own, *_) = texts(ask(blip_server, NAMES[1], model="tiny-blip"))
        for text in ("The red man", "a [SEP] dog", "Describe this image in detail."):
            assert chat("tiny-blip", text) == own
        assert chat("compact", "The red man") == caption_of(NAMES[1])
