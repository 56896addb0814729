"""PhotoPrism's vision service: what it sends, and what it reads of the answer."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import pytest

from serving.api.photoprism.errors import PREFIX, photoprism_errors
from serving.base.problems import KINDS, Problem
from serving.http.problem_answers import render, shape_errors
from tests.asking import PICTURE
from tests.drawings import caption_of, draw, encode
from tests.locked import ANNA, bearer
from tests.server import Server

RING = caption_of("red ring")
URL = "data:image/jpeg;base64," + base64.b64encode(PICTURE).decode()
CAPTION, LABELS = f"{PREFIX}caption", f"{PREFIX}labels"


def ask(client: httpx.Client, path: str, **asked: Any) -> Any:
    answer = client.post(path, json={"images": [URL], **asked})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_captions(client: httpx.Client) -> None:
    """As it asks since it has been able to: one thumbnail, a prompt, options of language models."""
    answer = ask(
        client,
        CAPTION,
        id="3487da77-246e-4b4b-9437-67507177bcd7",
        model="compact",
        version="latest",
        prompt="Create a caption with exactly one sentence.",
        suffix="",
        stream=False,
        options={"temperature": 0.1, "top_p": 0.9},
    )
    assert (answer["id"], answer["code"]) == ("3487da77-246e-4b4b-9437-67507177bcd7", 200)
    model = answer["model"]
    assert (model["type"], model["name"], model["version"]) == ("caption", "compact", "test")
    assert isinstance(model["resolution"], int)
    caption = answer["result"]["caption"]
    assert (caption["text"], caption["source"]) == (RING, "image")
    assert 0 < caption["confidence"] <= 1


def test_labels(client: httpx.Client) -> None:
    cross = "data:image/png;base64," + base64.b64encode(encode(draw("gold cross"))).decode()
    answer = ask(client, LABELS, images=[URL, cross])
    assert answer["model"]["type"] == "labels" and answer["id"]
    labels = answer["result"]["labels"]
    assert [label["name"] for label in labels] == ["ring", "paper"]
    for label in labels:
        assert label.keys() == {"name", "source", "priority", "confidence", "topicality"}
        assert type(label["priority"]) is int and 0 < label["topicality"] <= 1


@pytest.mark.parametrize("path", ["", "/compact", "/compact/latest"])
def test_models_in_the_path(client: httpx.Client, path: str) -> None:
    asked = {} if path else {"model": "compact", "version": "test"}
    assert ask(client, CAPTION + path, **asked)["result"]["caption"]["text"] == RING
    # What stands in the path counts.
    assert not path or ask(client, CAPTION + path, model="x")["result"]["caption"]["text"] == RING


def test_the_address_alone(client: httpx.Client) -> None:
    answer = client.post(CAPTION, json={"url": URL, "images": []})
    assert answer.json()["result"]["caption"]["text"] == RING
    bare = {"images": [URL.partition(",")[2]], "model": "", "version": ""}
    assert client.post(CAPTION, json=bare).json()["code"] == 200


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"images": []}, 400),
        ({"images": ["%%"]}, 400),
        ({"images": [URL[:200]]}, 400),
        ({"images": [5]}, 400),
        ({"images": [], "url": "http://127.0.0.1/x.png"}, 403),
        ({"model": "nasnet"}, 404),
        ({"model": "compact", "version": "9"}, 404),
    ],
    ids=lambda value: str(value)[:40],
)
def test_errors(client: httpx.Client, asked: dict[str, Any], status: int) -> None:
    answer = client.post(CAPTION, json={"images": [URL], **asked})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert answer.json().keys() == {"id", "code", "error"}
    assert answer.json()["code"] == status and answer.json()["error"]


def test_unknown_addresses(client: httpx.Client) -> None:
    for path in (f"{PREFIX}face", f"{CAPTION}/x", f"{CAPTION}/compact/9"):
        assert client.post(path, json={"images": [URL]}).json()["code"] == 404


def test_there_is_no_503_here() -> None:
    shape_errors(PREFIX, photoprism_errors)
    for slug, kind in KINDS.items():
        answer = render(Problem(slug), {"path": CAPTION, "type": "http", "headers": []})
        assert answer.status_code == {415: 400, 422: 400, 503: 429}.get(kind.status, kind.status)


def test_keys(locked_server: Server) -> None:
    with httpx.Client(base_url=locked_server.url) as client:
        answer = client.post(CAPTION, json={"images": [URL]})
        assert (answer.status_code, answer.json()["code"]) == (401, 401)
        answer = client.post(CAPTION, json={"images": [URL]}, headers=bearer(ANNA))
        assert answer.json()["result"]["caption"]["text"] == RING
