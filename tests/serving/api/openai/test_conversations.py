"""What chat programs send beside one question about one picture: turns, talk, orders for JSON."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from openai import OpenAI
from pydantic import BaseModel

from serving.api.talking import NOT_A_PICTURE
from tests.drawings import caption_of, draw, encode
from tests.server import Server

RING = caption_of("red ring")


def url(name: str) -> str:
    return "data:image/png;base64," + base64.b64encode(encode(draw(name))).decode()


def told(*names: str, text: str = "Describe this.") -> dict[str, Any]:
    pictures = [{"type": "image_url", "image_url": {"url": url(name)}} for name in names]
    return {"role": "user", "content": [{"type": "text", "text": text}, *pictures]}


def said(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text, "annotations": [], "refusal": None}


@pytest.fixture
def ai(server: Server) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def ask(ai: OpenAI, *messages: Any, **more: Any) -> str:
    completion = ai.chat.completions.create(model="compact", messages=list(messages), **more)
    return completion.choices[0].message.content or ""


def test_the_newest_picture_is_captioned(ai: OpenAI) -> None:
    talk: list[Any] = [{"role": "system", "content": "Be brief."}, told("red ring"), said(RING)]
    assert ask(ai, *talk, told("gold cross")) == caption_of("gold cross")
    # What is asked about it later is about the same picture.
    assert ask(ai, *talk, {"role": "user", "content": "What else?"}) == RING
    # Of several in one message, the first.
    assert ask(ai, *talk, told("blue bar", "gold cross")) == caption_of("blue bar")


def test_whatever_was_answered_is_taken(ai: OpenAI) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    talk = [
        told("red ring"),
        {"role": "assistant", "content": None, "tool_calls": [call], "reasoning_content": "hm"},
        {"role": "tool", "content": "42", "tool_call_id": "1"},
        {"role": "assistant", "content": [{"type": "text", "text": "42"}, {"type": "refusal"}]},
        {"role": "function", "name": "f", "content": "x"},
        {"role": "user", "content": "And?"},
    ]
    assert ask(ai, *talk) == RING


@pytest.mark.parametrize("text", ["Hi", "Write a title for this chat.", "Say 'ok'"])
def test_talk_without_pictures_gets_a_sentence(ai: OpenAI, text: str) -> None:
    completion = ai.chat.completions.create(
        model="compact", messages=[{"role": "user", "content": text}], n=3
    )
    (choice,) = completion.choices
    assert (choice.message.content, choice.finish_reason) == (NOT_A_PICTURE, "stop")
    chunks = ai.chat.completions.create(
        model="", messages=[{"role": "user", "content": text}], stream=True
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == NOT_A_PICTURE


def test_an_address_alone(client: httpx.Client) -> None:
    part = {"type": "image_url", "image_url": url("red ring")}
    body = {"model": "compact", "messages": [{"role": "user", "content": [part]}]}
    answer = client.post("/v1/chat/completions", json=body)
    assert answer.json()["choices"][0]["message"]["content"] == RING


# --- parameters that clients send to language models ---------------------------------------------


@pytest.mark.parametrize(
    "usual",
    [
        {"temperature": 1, "top_p": 1},
        {"temperature": 0.7, "top_p": 0.9, "max_tokens": 4096},
        {"temperature": 2.0, "max_completion_tokens": 2048.0},
        {"temperature": 0.2, "max_tokens": -1},
        {"max_tokens": 0, "n": 1.0},
        {"top_p": 0.1, "extra_body": {"top_k": 40, "min_p": 0.05, "logprobs": False}},
    ],
    ids=str,
)
def test_what_is_always_sent_reads_well(ai: OpenAI, usual: dict[str, Any]) -> None:
    assert ask(ai, told("red ring"), **usual) == RING


def test_a_limit_below_every_captions_length(ai: OpenAI) -> None:
    def ask_within(tokens: int) -> Any:
        completion = ai.chat.completions.create(
            model="compact", messages=[told("red ring")], max_tokens=tokens
        )
        return completion.choices[0]

    assert ask_within(1).finish_reason == "length"
    assert ask_within(1).message.content == ask_within(4).message.content != RING


def test_a_seed_samples(ai: OpenAI) -> None:
    texts = [ask(ai, told("red ring"), temperature=5, seed=seed) for seed in range(8)]
    assert len(set(texts)) > 1
    assert ask(ai, told("red ring"), temperature=5, seed=3) == texts[3]


@pytest.mark.parametrize(
    ("stop", "text"),
    [
        (" on ", RING.partition(" on ")[0]),
        (["?", "ring"], RING.partition("ring")[0]),
        (["on", "ring"], RING.partition("ring")[0]),
        (["?"], RING),
        (RING[0], ""),
    ],
)
def test_stops_cut_the_text(ai: OpenAI, stop: Any, text: str) -> None:
    completion = ai.chat.completions.create(
        model="compact", messages=[told("red ring")], stop=stop, max_tokens=40
    )
    assert completion.choices[0].message.content == text
    assert completion.choices[0].finish_reason == "stop"


# --- JSON ----------------------------------------------------------------------------------------


class About(BaseModel):
    description: str
    alt_text: str
    tags: list[str]
    people: int


def test_parse(ai: OpenAI) -> None:
    completion = ai.chat.completions.parse(
        model="compact", messages=[told("red ring")], response_format=About
    )
    about = completion.choices[0].message.parsed
    assert about is not None and about.description == about.alt_text == RING
    assert about.tags == ["ring", "paper"]


def test_json_objects(ai: OpenAI) -> None:
    for messages in ([told("red ring")], [{"role": "user", "content": "Hi"}]):
        text = ask(ai, *messages, response_format={"type": "json_object"}, temperature=0.5)
        assert {"caption", "description", "title", "tags"} <= json.loads(text).keys()
