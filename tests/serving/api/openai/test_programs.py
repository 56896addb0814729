"""What programs that speak to OpenAI send, and what each of them reads of the answer."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx

from tests.asking import PHOTOPRISMS_LABELS, PICTURE, post
from tests.drawings import caption_of

RING = caption_of("red ring")
URL = "data:image/jpeg;base64," + base64.b64encode(PICTURE).decode()
CHAT = "/v1/chat/completions"


def content_of(answer: Any) -> str:
    return str(answer["choices"][0]["message"]["content"])


LABELS = {**PHOTOPRISMS_LABELS, "additionalProperties": False}


def photoprism(client: httpx.Client, **more: Any) -> str:
    """Ask as PhotoPrism does; return the first text that it finds."""
    system = [{"type": "input_text", "text": "You are a precise assistant."}]
    user = [
        {"type": "input_text", "text": "Write one sentence."},
        {"type": "input_image", "image_url": URL, "detail": "low"},
    ]
    messages = [
        {"role": "system", "type": "message", "content": system},
        {"role": "user", "type": "message", "content": user},
    ]
    answer = post(client, "/v1/responses", model="compact", input=messages, **more)
    assert answer.get("error") is None and answer["model"] == "compact"
    return str(answer["output"][0]["content"][0]["text"])


def test_photoprism(client: httpx.Client) -> None:
    assert photoprism(client, max_output_tokens=512, reasoning={"effort": "low"}) == RING
    sampled = {"temperature": 0.1, "top_p": 0.9, "presence_penalty": 0.5, "frequency_penalty": 0.5}
    assert photoprism(client, **sampled, service_tier="flex") == RING
    form = {"type": "json_schema", "name": "labels_v1", "schema": LABELS, "strict": True}
    labels = json.loads(photoprism(client, text={"format": form}, max_output_tokens=1024))["labels"]
    assert [label["name"] for label in labels] == ["ring", "paper"]
    assert all(0 < label["confidence"] <= 1 for label in labels)


def test_karakeep(client: httpx.Client) -> None:
    """It wants some text, JSON of this schema, and counts tokens; texts go the same way."""
    schema = {
        "type": "object",
        "properties": {"tags": {"type": "array", "items": {"type": "string"}}},
        "required": ["tags"],
        "additionalProperties": False,
        "$schema": "http://json-schema.org/draft-07/schema#",
    }
    structured = {"name": "schema", "strict": True, "schema": schema}
    picture = {"type": "image_url", "image_url": {"url": URL, "detail": "low"}}
    of_picture = [{"type": "text", "text": "Respond with JSON with the key tags."}, picture]
    for content, tags in ((of_picture, ["ring", "paper"]), ("A long article.", [])):
        for form in ({"type": "json_schema", "json_schema": structured}, {"type": "json_object"}):
            answer = post(
                client,
                CHAT,
                model="compact",
                messages=[{"role": "user", "content": content}],
                max_tokens=2048,
                response_format=form,
            )
            assert json.loads(content_of(answer))["tags"] == tags
            assert isinstance(answer["usage"]["total_tokens"], int)


def test_karakeep_through_ollama(client: httpx.Client) -> None:
    """It streams, and adds up the parts."""
    asked = {
        "model": "compact",
        "prompt": "Respond with JSON.",
        "images": [URL.partition(",")[2]],
        "format": "json",
        "stream": True,
        "options": {"num_ctx": 8192, "num_predict": 2048},
    }
    with client.stream("POST", "/api/generate", json=asked) as stream:
        lines = [json.loads(line) for line in stream.iter_lines()]
    assert json.loads("".join(line["response"] for line in lines))["tags"] == ["ring", "paper"]


def test_nextcloud(client: httpx.Client) -> None:
    """It lists models, and sends numbers and its user's name along."""
    models = client.get("/v1/models").json()
    assert [model["id"] for model in models["data"]] == ["compact"]
    picture = {"type": "image_url", "image_url": {"url": URL}}
    asked = [{"role": "user", "content": [{"type": "text", "text": "Describe it."}, picture]}]
    answer = post(client, CHAT, model="compact", messages=asked, max_tokens=1000, n=1, user="anna")
    assert content_of(answer) == RING and answer["usage"]["total_tokens"] > 0
    talk = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello"}]
    assert content_of(post(client, CHAT, model="compact", messages=talk, n=1, user="anna"))


def test_open_webui(client: httpx.Client) -> None:
    """It streams whole conversations with pictures in their turns."""
    picture = {"type": "image_url", "image_url": {"url": URL}}
    talk = [
        {"role": "user", "content": [{"type": "text", "text": "What is it?"}, picture]},
        {"role": "assistant", "content": RING},
        {"role": "user", "content": "Are you sure?"},
    ]
    asked = {"model": "compact", "messages": talk, "stream": True, "stream_options": {}}
    with client.stream("POST", CHAT, json=asked) as stream:
        lines = [line.removeprefix("data: ") for line in stream.iter_lines() if line]
    assert lines[-1] == "[DONE]"
    deltas = [json.loads(line)["choices"][0]["delta"] for line in lines[:-1]]
    assert "".join(delta.get("content") or "" for delta in deltas) == RING


def test_llm_vision(client: httpx.Client) -> None:
    """Its provider for OpenAI's interface: several named pictures, and a title as a request."""
    parts = [
        {"type": "text", "text": "Image 1:"},
        {"type": "image_url", "image_url": {"url": URL, "detail": "low"}},
        {"type": "text", "text": "What happens at the door?"},
    ]
    messages = [
        {"role": "system", "content": [{"type": "text", "text": "You watch a camera."}]},
        {"role": "user", "content": parts},
    ]
    sampling = {"max_completion_tokens": 100, "temperature": 0.5, "top_p": 0.9}
    answer = post(client, CHAT, model="compact", messages=messages, **sampling)
    assert content_of(answer) == RING


def test_lightroom(client: httpx.Client) -> None:
    """LrGeniusAI, through Ollama: JSON with every member that it asked for, and not cut short."""
    text, names = {"type": "string"}, ("title", "caption", "alt_text")
    keywords = {"type": "array", "items": {"type": "string"}}
    schema = {
        "type": "object",
        "properties": {"keywords": keywords, **dict.fromkeys(names, text)},
        "required": ["keywords", *names],
    }
    answer = post(
        client,
        "/api/chat",
        model="compact:latest",
        messages=[
            {"role": "system", "content": "You analyse photographs."},
            {"role": "user", "content": "Keywords!", "images": [URL.partition(",")[2]]},
        ],
        format=schema,
        options={"temperature": 0.2, "top_p": 0.9, "num_keep": -1, "num_predict": 2048},
        stream=False,
    )
    assert answer["done_reason"] == "stop"
    found = json.loads(answer["message"]["content"])
    assert found["keywords"] == ["ring", "paper"]
    assert found["caption"] == found["alt_text"] == RING and found["title"] == RING.rstrip(".")
