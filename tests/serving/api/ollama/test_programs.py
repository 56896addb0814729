"""What programs that speak to Ollama send, and what each of them reads of the answer."""

from __future__ import annotations

import base64
import json

import httpx

from tests.asking import PHOTOPRISMS_LABELS, PICTURE, post
from tests.drawings import caption_of

RING = caption_of("red ring")
BARE = base64.b64encode(PICTURE).decode()


def test_photoprism_captions(client: httpx.Client) -> None:
    """One object, with its own `result` beside the text; without one it has got nothing."""
    answer = post(
        client,
        "/api/generate",
        model="compact:latest",
        prompt="Write one sentence about the main subject.",
        images=[BARE],
        stream=False,
        think=False,
        options={"temperature": 0.1, "top_p": 0.9, "num_ctx": 4096, "num_predict": 128},
    )
    assert answer["response"] == RING and answer["done"] is True
    caption = answer["result"]["caption"]
    assert caption["text"] == RING and 0 < caption["confidence"] <= 1
    assert [label["name"] for label in answer["result"]["labels"]] == ["ring", "paper"]
    # Its fields are of these types, and its reader is strict.
    numbers = ("total_duration", "load_duration", "prompt_eval_count", "eval_count")
    assert all(type(answer[name]) is int for name in numbers)


def test_photoprism_labels(client: httpx.Client) -> None:
    """The text is JSON with the labels, by a schema or by the word alone."""
    for form in (PHOTOPRISMS_LABELS, "json"):
        answer = post(
            client,
            "/api/generate",
            model="compact:latest",
            system="You label photos.",
            prompt="Return JSON with at most three labels.",
            images=[BARE],
            format=form,
            stream=False,
            options={"temperature": 0.01, "seed": 0},
        )
        labels = json.loads(answer["response"])["labels"]
        assert [label["name"] for label in labels] == ["ring", "paper"]
        for label in labels:
            assert label.keys() == {"name", "confidence", "topicality"}
            assert 0 < label["confidence"] <= 1 and 0 < label["topicality"] <= 1


def test_llm_vision(client: httpx.Client) -> None:
    """It looks for models to see that it can connect; pictures have messages of their own."""
    assert client.get("/api/tags").json()["models"]
    messages = [
        {"role": "user", "content": "Image 1:", "images": [BARE]},
        {"role": "user", "content": "What happens at the door?"},
    ]
    options = {"temperature": 0.5, "top_p": 0.9, "num_ctx": 2048}
    asked = {"messages": messages, "stream": False, "options": options, "keep_alive": "5m"}
    answer = post(client, "/api/chat", model="compact", **asked)
    assert answer["message"]["content"] == RING


def test_open_webui(client: httpx.Client) -> None:
    """It lists and names models, streams the talk, and asks for a title in words."""
    assert client.get("/api/version").json()["version"]
    (model,) = client.get("/api/tags").json()["models"]
    assert {"name", "model", "digest", "size", "modified_at", "details"} <= model.keys()
    assert client.get("/api/ps").json()["models"][0]["expires_at"]
    talk = [{"role": "user", "content": "What is this?", "images": [BARE]}]
    asked = {"model": model["model"], "messages": talk, "stream": True, "options": {}}
    with client.stream("POST", "/api/chat", json=asked) as stream:
        lines = [json.loads(line) for line in stream.iter_lines()]
    assert "".join(line["message"]["content"] for line in lines) == RING
    assert [line["done"] for line in lines] == [False, True]
    assert lines[-1]["eval_count"] > 0 and lines[-1]["eval_duration"] > 0
    talk += [{"role": "assistant", "content": RING}, {"role": "user", "content": "Thanks"}]
    assert post(client, "/api/chat", **{**asked, "stream": False})["message"]["content"] == RING
    title = [{"role": "user", "content": "Write a title for this chat."}]
    answer = post(client, "/api/chat", model="compact", messages=title, stream=False)
    assert answer["message"]["content"]


def test_immich_analyze(client: httpx.Client) -> None:
    """It wants a text in the message that is not empty."""
    messages = [{"role": "user", "content": "Describe it in detail.", "images": [BARE]}]
    answer = post(client, "/api/chat", model="compact", messages=messages, stream=False)
    assert answer["message"]["content"].strip() == RING
