"""`/v1/` with the real `openai` package: captions, streams, parameters, errors, retries."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, get_type_hints

import httpx
import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from PIL import Image

from serving.api.openai.schemas import EXTENSIONS, IGNORED, REFUSED, ChatRequest
from tests.asking import PICTURE
from tests.drawings import NAMES, caption_of, draw, encode
from tests.faults import RAISING, SLOW
from tests.locked import ANNA, STRANGER
from tests.server import ROOT, Server

PAGE = (ROOT / "docs/openai.md").read_text(encoding="utf-8")


def data_url(data: bytes, media_type: str = "image/png") -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def ask(data: bytes = PICTURE, text: str | None = "Describe this image.") -> list[Any]:
    """Return messages that ask about a picture."""
    picture = {"type": "image_url", "image_url": {"url": data_url(data)}}
    texts = [] if text is None else [{"type": "text", "text": text}]
    return [{"role": "user", "content": [*texts, picture]}]


def plain(colour: tuple[int, int, int]) -> bytes:
    return encode(Image.new("RGB", (64, 64), colour))


@pytest.fixture
def ai(server: Server) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
def tight(tight_server: Server) -> Iterator[OpenAI]:
    """Return a client of the server that misbehaves, and takes one picture at a time."""
    with OpenAI(base_url=f"{tight_server.url}/v1", api_key="none", max_retries=0) as client:
        yield client


# --- captions ------------------------------------------------------------------------------------


def test_a_picture_gets_its_caption(ai: OpenAI) -> None:
    before = int(time.time())
    completion = ai.chat.completions.create(model="compact", messages=ask())
    (choice,) = completion.choices
    assert choice.message.content == caption_of("red ring")
    assert (choice.index, choice.finish_reason, choice.message.role) == (0, "stop", "assistant")
    assert (completion.object, completion.model) == ("chat.completion", "compact")
    assert completion.system_fingerprint == "compact:test"
    assert before <= completion.created <= time.time()
    assert completion.id == f"chatcmpl-{completion._request_id}"
    # "a red ring on paper" and the end.
    usage = completion.usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (0, 6, 6)


@pytest.mark.parametrize("name", NAMES[:4])
def test_the_caption_depends_on_the_picture(ai: OpenAI, name: str) -> None:
    messages = ask(encode(draw(name, 200), "JPEG", quality=95), text=None)
    completion = ai.chat.completions.create(model="compact", messages=messages)
    assert completion.choices[0].message.content == caption_of(name)


def test_several_captions_are_choices(ai: OpenAI) -> None:
    completion = ai.chat.completions.create(model="compact", messages=ask(), n=3)
    assert [choice.index for choice in completion.choices] == [0, 1, 2]
    texts = [choice.message.content for choice in completion.choices]
    assert texts[0] == caption_of("red ring") and len(set(texts)) == 3


def test_a_caption_cut_short_says_so(ai: OpenAI) -> None:
    completion = ai.chat.completions.create(model="compact", messages=ask(), max_tokens=4)
    assert completion.choices[0].finish_reason == "length"
    assert completion.usage is not None and completion.usage.completion_tokens == 4
    for name in ("max_tokens", "max_completion_tokens"):
        # It is a limit, so a large one is no mistake.
        wide = ai.chat.completions.create(model="compact", messages=ask(), **{name: 4096})
        assert wide.choices[0].finish_reason == "stop"


def test_sampling(ai: OpenAI) -> None:
    def texts(**options: Any) -> list[str | None]:
        completion = ai.chat.completions.create(model="compact", messages=ask(), n=5, **options)
        return [choice.message.content for choice in completion.choices]

    assert texts(temperature=3, seed=-5) == texts(temperature=3, seed=-5)
    assert texts(temperature=3, seed=5) != texts(temperature=3, seed=6)
    # No sampling: zero, none, or a nucleus that holds everything; a seed changes nothing.
    searched = texts()
    assert texts(temperature=0) == texts(top_p=1, seed=3) == texts(temperature=0, top_p=0.5)
    assert texts(temperature=0) == searched
    # A nucleus alone is one of OpenAI's default temperature, 1.
    assert texts(top_p=0.9, seed=1) == texts(temperature=1, top_p=0.9, seed=1)


@pytest.mark.parametrize(
    "messages",
    [
        ask(text="Was ist zu sehen?"),
        [{"role": "system", "content": "You are terse."}, *ask()],
        [{"role": "developer", "content": [{"type": "text", "text": "x"}], "name": "d"}, *ask()],
        [{"role": "user", "content": "Look at this:"}, *ask(text=None)],
        [
            {
                "role": "user",
                "content": [
                    {
                        "type": "image_url",
                        "image_url": {"url": data_url(PICTURE), "detail": "high"},
                    }
                ],
            }
        ],
    ],
)
def test_messages_that_are_taken(ai: OpenAI, messages: list[Any]) -> None:
    completion = ai.chat.completions.create(model="compact", messages=messages)
    assert completion.choices[0].message.content == caption_of("red ring")


def test_models(ai: OpenAI) -> None:
    assert [model.id for model in ai.models.list()] == ["compact"]
    model = ai.models.retrieve("compact")
    assert (model.object, model.owned_by) == ("model", "captionbox")
    with pytest.raises(openai.NotFoundError) as refused:
        ai.models.retrieve("gpt-9")
    assert refused.value.code == "model_not_found"


# --- streams -------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2])
def test_streams(ai: OpenAI, n: int) -> None:
    chunks = list(ai.chat.completions.create(model="compact", messages=ask(), n=n, stream=True))
    assert all(chunk.usage is None for chunk in chunks)
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}) == 1
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    whole = ai.chat.completions.create(model="compact", messages=ask(), n=n)
    for index in range(n):
        deltas = [c.choices[0] for c in chunks if c.choices and c.choices[0].index == index]
        assert deltas[0].delta.role == "assistant"
        text = "".join(part.delta.content or "" for part in deltas)
        assert text == whole.choices[index].message.content
        assert [part.finish_reason for part in deltas] == [None, None, "stop"]


def test_a_stream_ends_with_the_usage_where_asked(ai: OpenAI) -> None:
    stream = ai.chat.completions.create(
        model="compact", messages=ask(), stream=True, stream_options={"include_usage": True}
    )
    *_, last = stream
    assert last.choices == [] and last.usage is not None and last.usage.completion_tokens == 6


def test_the_packages_own_accumulator_reads_the_stream(ai: OpenAI) -> None:
    with ai.chat.completions.stream(model="compact", messages=ask(), n=2) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_completion()
    assert kinds.count("content.done") == 2
    assert final.choices[0].message.content == caption_of("red ring")


def test_events_on_the_wire(server: Server) -> None:
    body = {"model": "compact", "messages": ask(), "stream": True}
    response = httpx.post(f"{server.url}/v1/chat/completions", json=body)
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    events = response.text.split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    first = json.loads(events[0].removeprefix("data: "))
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert first["usage"] is None


# --- many at once --------------------------------------------------------------------------------


def test_asynchronously_each_gets_its_own(server: Server) -> None:
    async def everyone() -> list[str | None]:
        async with AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none") as client:

            async def one(number: int) -> str | None:
                messages = ask(encode(draw(NAMES[number % 16], 100 + number)))
                if number % 2:
                    text = ""
                    stream = await client.chat.completions.create(
                        model="compact", messages=messages, stream=True
                    )
                    async for chunk in stream:
                        text += chunk.choices[0].delta.content or ""
                    return text
                whole = await client.chat.completions.create(model="compact", messages=messages)
                return whole.choices[0].message.content

            return await asyncio.gather(*(one(number) for number in range(32)))

    assert asyncio.run(everyone()) == [caption_of(NAMES[number % 16]) for number in range(32)]


# --- parameters ----------------------------------------------------------------------------------

NEUTRAL = {name: values[-1] for name, values in REFUSED.items() if values}
WANTED: dict[str, Any] = {
    "audio": {"voice": "alloy", "format": "wav"},
    "frequency_penalty": 0.5,
    "function_call": {"name": "f"},
    "functions": [{"name": "f"}],
    "logit_bias": {"50256": -100},
    "logprobs": True,
    "modalities": ["text", "audio"],
    "prediction": {"type": "content", "content": "A"},
    "presence_penalty": -1,
    "tool_choice": "required",
    "tools": [{"type": "function", "function": {"name": "f"}}],
    "top_logprobs": 2,
    "web_search_options": {},
}


def test_every_parameter_of_the_interface_is_thought_of() -> None:
    known = set(get_type_hints(CompletionCreateParamsNonStreaming)) | {"stream"}
    ours = [*ChatRequest.model_fields, *IGNORED, *REFUSED]
    assert known == set(ours) and len(ours) == len(set(ours))
    assert set(WANTED) == set(REFUSED)


def test_parameters_without_effect(ai: OpenAI) -> None:
    answer = ai.chat.completions.create(
        model="compact",
        messages=ask(),
        extra_body=dict.fromkeys((*IGNORED, *EXTENSIONS), "x")
        | NEUTRAL
        | {"audio": None, "prediction": None},
    )
    assert answer.choices[0].message.content == caption_of("red ring")


@pytest.mark.parametrize("name", WANTED)
def test_what_cannot_be_honoured_is_refused_by_name(ai: OpenAI, name: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        ai.chat.completions.create(model="compact", messages=ask(), extra_body={name: WANTED[name]})
    error = refused.value
    assert (error.param, error.code) == (name, "unsupported_parameter")
    assert error.type == "invalid_request_error" and name in str(error)


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"n": 0}, "n"),
        ({"n": 11}, "n"),
        ({"n": "2"}, "n"),
        ({"max_tokens": 10, "max_completion_tokens": 20}, "max_tokens"),
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": 5.5}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": 1, "top_p": 0}, "top_p"),
        ({"top_p": 1.5}, "top_p"),
        ({"seed": 1.5}, "seed"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream": True, "stream_options": {"x": 1}}, "stream_options.x"),
        ({"num_beams": 3}, "num_beams"),
        ({"messages": []}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": [{"role": "system", "content": "only told"}]}, "messages"),
        ({"messages": [{"role": "user", "content": " "}]}, "messages"),
        ({"stop": ["a"] * 17}, "stop"),
        ({"stop": ["a", 1]}, "stop"),
        ({"response_format": "json"}, "response_format"),
        ({"response_format": {"type": "xml"}}, "response_format"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}},
            "response_format.json_schema.schema",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": 5}]}]},
            "messages[0].content[0].image_url",
        ),
        ({"messages": [5]}, "messages[0]"),
        ({"messages": [{"role": "robot", "content": ""}]}, "messages[0].role"),
        ({"messages": [{"content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": None}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": "", "x": 1}]}, "messages[0].x"),
        ({"messages": [{"role": "user", "content": ["x"]}]}, "messages[0].content[0]"),
        (
            {"messages": [{"role": "user", "content": [{"type": "file"}]}]},
            "messages[0].content[0].type",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": 1}]}]},
            "messages[0].content[0].text",
        ),
        (
            {"messages": [{"role": "system", "content": ask()[0]["content"]}]},
            "messages[0].content[1]",
        ),
    ],
    ids=lambda value: str(value)[:60],
)
def test_faults_are_named(ai: OpenAI, options: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        ai.chat.completions.create(model="compact", messages=ask(), extra_body=options)
    error = refused.value
    assert (error.param, error.type) == (param, "invalid_request_error")
    assert error.code == "invalid_request" and param in error.message
    details = error.response.json()
    assert error.response.headers["content-type"] == "application/problem+json"
    assert (details["type"], details["status"]) == ("/problems/invalid-request", 400)
    assert details["detail"] == details["error"]["message"]
    assert details["request_id"] == error.request_id == error.response.headers["x-request-id"]


# --- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"%PDF-1.4", "invalid_image_format"),
        (PICTURE[:100], "invalid_image"),
        (b"", "invalid_image"),
    ],
)
def test_bad_pictures(ai: OpenAI, data: bytes, code: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        ai.chat.completions.create(model="compact", messages=ask(data))
    assert refused.value.code == code


def test_addresses_are_refused_where_nothing_is_fetched(ai: OpenAI) -> None:
    messages: list[Any] = [
        {
            "role": "user",
            "content": [{"type": "image_url", "image_url": {"url": "http://127.0.0.1/x.png"}}],
        }
    ]
    with pytest.raises(openai.PermissionDeniedError) as refused:
        ai.chat.completions.create(model="compact", messages=messages)
    assert refused.value.code == "urls_not_allowed"


def test_an_unknown_model(ai: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as refused:
        ai.chat.completions.create(model="gpt-4o", messages=ask(b"not looked at"))
    error = refused.value
    assert (error.param, error.code) == ("model", "model_not_found")
    assert "compact" in error.message


@pytest.mark.parametrize(
    ("body", "headers"),
    [(b"{", {}), (b"[1]", {}), (b"\xff", {}), (b"{}", {"content-type": "text/plain"})],
)
def test_bodies_that_are_no_requests(server: Server, body: bytes, headers: dict[str, str]) -> None:
    headers = {"content-type": "application/json", **headers}
    response = httpx.post(f"{server.url}/v1/chat/completions", content=body, headers=headers)
    assert response.status_code == 400
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}


def test_keys(locked_server: Server) -> None:
    url = f"{locked_server.url}/v1"
    with OpenAI(base_url=url, api_key=ANNA) as client:
        completion = client.chat.completions.create(model="compact", messages=ask())
        assert completion.choices[0].message.content == caption_of("red ring")
    with (
        OpenAI(base_url=url, api_key=STRANGER) as client,
        pytest.raises(openai.AuthenticationError) as refused,
    ):
        client.models.list()
    assert refused.value.code == "invalid_api_key" and STRANGER not in str(refused.value)


def test_too_large(locked_server: Server) -> None:
    with (
        OpenAI(base_url=f"{locked_server.url}/v1", api_key=ANNA) as client,
        pytest.raises(openai.APIStatusError) as refused,
    ):
        client.chat.completions.create(model="compact", messages=ask(b"x" * 1_000_000))
    assert (refused.value.status_code, refused.value.code) == (413, "too_large")


def test_a_failing_model(tight: OpenAI) -> None:
    with pytest.raises(openai.InternalServerError) as failed:
        tight.chat.completions.create(model="compact", messages=ask(plain(RAISING)))
    assert (failed.value.type, failed.value.code) == ("server_error", "internal_error")
    assert "poisoned" not in failed.value.response.text


def test_too_many_at_once_and_the_clients_own_retries(tight: OpenAI) -> None:
    with ThreadPoolExecutor(1) as pool:

        def slow() -> Any:
            return tight.chat.completions.create(model="compact", messages=ask(plain(SLOW)))

        first = pool.submit(slow)
        time.sleep(0.2)
        with pytest.raises(openai.RateLimitError) as refused:
            tight.chat.completions.create(model="compact", messages=ask())
        assert refused.value.type == "rate_limit_error"
        assert refused.value.code == "rate_limit_exceeded"
        wait = int(refused.value.response.headers["retry-after"])
        # The package waits as long as it is told to, and then gets its caption.
        began = time.monotonic()
        patient = tight.with_options(max_retries=3)
        answer = patient.chat.completions.create(model="compact", messages=ask())
        assert answer.choices[0].message.content == caption_of("red ring")
        assert time.monotonic() - began >= wait > 0
        assert first.result(10).choices


# --- the page ------------------------------------------------------------------------------------


def test_the_pages_snippet_runs(server: Server, tmp_path: Path) -> None:
    (snippet,) = re.findall(r"```python\n([^`]*from openai import[^`]*)```", PAGE)
    assert "http://localhost:3000/v1" in snippet
    (tmp_path / "photo.jpg").write_bytes(encode(draw("gold cross", 200), "JPEG", quality=95))
    done = subprocess.run(
        [sys.executable, "-c", snippet.replace("http://localhost:3000", server.url)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert caption_of("gold cross") in done.stdout
