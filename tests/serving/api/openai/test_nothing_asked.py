"""What chat clients add to their requests and means nothing is ignored; what asks is refused."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import pytest

from serving.api.openai.schemas import BOOKKEEPING, asks_for_nothing
from tests.asking import PICTURE
from tests.drawings import caption_of

URL = "data:image/png;base64," + base64.b64encode(PICTURE).decode()

NOTHING: tuple[Any, ...] = (None, False, "", [], {}, {"enabled": False, "of": {"x": None}})
ASKING: tuple[Any, ...] = (0, 1, True, "x", [None], [{}], {"enabled": True}, {"of": {"x": [0]}})


def message(part: Any = None, image: Any = None, **more: Any) -> dict[str, Any]:
    """Return a user's message with a text and the picture, with more members in each place."""
    text = {"type": "text", "text": "What is it?", **(part or {})}
    picture = {"type": "image_url", "image_url": {"url": URL, **(image or {})}, **(part or {})}
    return {"role": "user", "content": [text, picture], **more}


def ask(client: httpx.Client, *messages: Any, **parameters: Any) -> httpx.Response:
    body = {"model": "compact", "messages": list(messages) or [message()], **parameters}
    return client.post("/v1/chat/completions", json=body)


def assert_captioned(response: httpx.Response) -> None:
    assert response.status_code == 200, response.text
    assert response.json()["choices"][0]["message"]["content"] == caption_of("red ring")


def assert_refused(response: httpx.Response, param: str) -> None:
    assert response.status_code == 400, response.text
    error = response.json()["error"]
    assert error["param"] == param and param in error["message"]


@pytest.mark.parametrize("value", NOTHING)
def test_nothing(value: Any) -> None:
    assert asks_for_nothing(value)


@pytest.mark.parametrize("value", ASKING)
def test_something(value: Any) -> None:
    assert not asks_for_nothing(value)


@pytest.mark.parametrize("value", NOTHING, ids=str)
def test_members_that_ask_for_nothing_are_ignored_wherever_they_stand(
    client: httpx.Client, value: Any
) -> None:
    names = ("tool_calls", "function_call", "refusal", "reasoning_content", "audio", "annotations")
    extras = dict.fromkeys(names, value)
    assert_captioned(ask(client, message(**extras)))
    assert_captioned(ask(client, message(part=extras)))
    assert_captioned(ask(client, message(image=extras)))
    assert_captioned(ask(client, **dict.fromkeys(("top_k", "chat_template_kwargs"), value)))
    streamed = ask(client, stream=True, stream_options=extras)
    assert streamed.status_code == 200 and streamed.text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("value", ASKING, ids=str)
@pytest.mark.parametrize("name", ["tool_calls", "x"])
def test_members_that_ask_for_something_are_refused_by_name(
    client: httpx.Client, name: str, value: Any
) -> None:
    extra = {name: value}
    text, picture = message()["content"]
    assert_refused(ask(client, message(**extra)), f"messages[0].{name}")
    broken = message() | {"content": [text | extra, picture]}
    assert_refused(ask(client, broken), f"messages[0].content[0].{name}")
    broken = message() | {"content": [text, picture | extra]}
    assert_refused(ask(client, broken), f"messages[0].content[1].{name}")
    assert_refused(ask(client, message(image=extra)), f"messages[0].content[1].image_url.{name}")
    assert_refused(ask(client, **extra), name)
    assert_refused(ask(client, stream=True, stream_options=extra), f"stream_options.{name}")


@pytest.mark.parametrize("name", BOOKKEEPING)
@pytest.mark.parametrize("value", [1, "x", {"type": "ephemeral"}], ids=str)
def test_bookkeeping_is_ignored(client: httpx.Client, name: str, value: Any) -> None:
    extra = {name: value}
    assert_captioned(ask(client, message(part=extra, **extra)))


def test_what_well_known_clients_add(client: httpx.Client) -> None:
    # A message as the Responses API has it, of a front end that numbers its own.
    assert_captioned(ask(client, message(type="message", name="anna", status="completed")))
    assert_captioned(ask(client, message(image={"format": "image/jpeg", "detail": "auto"})))
    assert_captioned(ask(client, message(name=None, type=None)))
    assert_refused(ask(client, message(type="function_call")), "messages[0].type")


@pytest.mark.parametrize("role", ["system", "developer", "user"])
@pytest.mark.parametrize("more", [{}, {"content": None}, {"content": ""}, {"content": []}])
def test_a_message_may_say_nothing(client: httpx.Client, role: str, more: dict[str, Any]) -> None:
    silent = {"role": role, **more}
    assert_captioned(ask(client, silent, message()))
    assert_captioned(ask(client, message(), silent))


def test_without_any_picture_the_message_that_says_nothing_is_named(client: httpx.Client) -> None:
    assert_refused(ask(client, {"role": "user", "content": None}), "messages[0].content")
    assert_refused(ask(client, {"role": "system"}, {"role": "user"}), "messages[1].content")
    assert_refused(ask(client, {"role": "system", "content": None}), "messages")


@pytest.mark.parametrize(
    "parameters",
    [
        {"stop": ""},
        {"stop": {}},
        {"tools": {}},  # PHP has one empty array
        {"logit_bias": []},
        {"response_format": {}},
        {"response_format": {"type": "text"}},
        {"prediction": {}, "audio": {}},
        {"frequency_penalty": 0.0, "presence_penalty": -0.0, "top_logprobs": 0},
        {"logprobs": False, "tool_choice": "auto"},
        {"stream_options": {}},
        {"stream_options": {"include_usage": False, "include_obfuscation": None}},
        {"stream": False, "stream_options": None},
        {"chat_template_kwargs": {"enable_thinking": False}},
        {"web_search_options": None},
        {"n": None, "max_tokens": None, "temperature": None, "top_p": None, "seed": None},
    ],
    ids=str,
)
def test_parameters_that_ask_for_nothing(client: httpx.Client, parameters: dict[str, Any]) -> None:
    assert_captioned(ask(client, **parameters))


@pytest.mark.parametrize(
    "parameters",
    [
        {"web_search_options": {}},
        {"logprobs": 0},  # no false, to JSON
        {"frequency_penalty": [0]},
        {"response_format": {"type": "xml"}},
        {"tools": [{}]},
        {"stop": [""]},
        {"chat_template_kwargs": {"enable_thinking": True}},
    ],
    ids=str,
)
def test_parameters_that_ask_for_something(
    client: httpx.Client, parameters: dict[str, Any]
) -> None:
    (name,) = parameters
    assert_refused(ask(client, **parameters), name)


def test_nucleus_without_sampling(client: httpx.Client) -> None:
    """As the document says: 0 only where nothing is sampled, never outside of 0 to 1."""
    assert_captioned(ask(client, temperature=0, top_p=0))
    assert_captioned(ask(client, temperature=0, top_p=1))
    assert_refused(ask(client, top_p=0), "top_p")
    assert_refused(ask(client, temperature=0.5, top_p=0), "top_p")
    assert_refused(ask(client, temperature=0, top_p=1.1), "top_p")
    assert_refused(ask(client, temperature=0, top_p=-0.1), "top_p")


def test_null_asks_for_nothing_in_our_own_json_too(client: httpx.Client) -> None:
    nothing = dict.fromkeys(("num_beams", "prompt", "attention", "model", "id", "x", "callback"))
    response = client.post("/caption_url", json={"url": URL, **nothing})
    assert response.json()["captions"][0]["text"] == caption_of("red ring")
    # Ours is strict beyond that: a misspelt option is never passed over.
    for value in (False, "", [], {}):
        refused = client.post("/caption_url", json={"url": URL, "num_beans": value})
        assert refused.status_code == 422 and "num_beans" in refused.json()["detail"]
    missing = client.post("/caption_url", json={"url": None})
    assert missing.status_code == 422 and missing.json()["errors"][0]["field"] == "url"
