"""`/v1/responses` with the real `openai` package: captions, streams, JSON, parameters, errors."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from typing import Any, get_type_hints

import httpx
import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.responses import Response
from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming
from pydantic import BaseModel

from serving.api.openai.responses.schemas import IGNORED, REFUSED, ResponsesRequest
from serving.api.talking import NOT_A_PICTURE
from tests.asking import PICTURE
from tests.drawings import NAMES, caption_of, draw, encode
from tests.locked import ANNA, STRANGER
from tests.server import Server

RING = caption_of("red ring")


def shown(data: bytes = PICTURE) -> dict[str, Any]:
    url = f"data:image/png;base64,{base64.b64encode(data).decode()}"
    return {"type": "input_image", "image_url": url, "detail": "auto"}


def told(data: bytes = PICTURE, text: str = "Describe this image.") -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "input_text", "text": text}, shown(data)]}


@pytest.fixture
def ai(server: Server) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def ask(ai: OpenAI, *items: Any, **more: Any) -> Response:
    return ai.responses.create(model="compact", input=list(items) or [told()], **more)


# --- captions ------------------------------------------------------------------------------------


def test_a_picture_gets_its_caption(ai: OpenAI) -> None:
    answer = ask(ai, instructions="Be brief.", max_output_tokens=300, temperature=1.0, top_p=1.0)
    assert answer.output_text == RING and answer.status == "completed"
    (message,) = answer.output
    assert message.type == "message" and message.role == "assistant"
    assert (answer.object, answer.model, answer.error) == ("response", "compact", None)
    assert (answer.max_output_tokens, answer.temperature, answer.top_p) == (300, 1.0, 1.0)
    assert answer.id == f"resp_{answer._request_id}"
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (0, 6)
    # As strictly as the package's own types are.
    Response.model_validate(json.loads(answer.model_dump_json()))


def test_turns(ai: OpenAI) -> None:
    cross = encode(draw("gold cross"))
    first = ask(ai, {"role": "system", "content": "Be brief."}, told())
    talk = [told(), *(item.model_dump() for item in first.output)]
    assert ask(ai, *talk, {"role": "user", "content": "What else?"}).output_text == RING
    assert ask(ai, *talk, told(cross)).output_text == caption_of("gold cross")
    call = {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"}
    done = {"type": "function_call_output", "call_id": "1", "output": "2"}
    assert ask(ai, told(), call, done, {"type": "reasoning", "summary": []}).output_text == RING


def test_talk_without_pictures_gets_a_sentence(ai: OpenAI) -> None:
    assert ai.responses.create(model="compact", input="Hi").output_text == NOT_A_PICTURE
    talk = {"role": "user", "content": [{"type": "input_text", "text": "A title, please."}]}
    assert ask(ai, talk).output_text == NOT_A_PICTURE


def test_a_caption_cut_short_is_incomplete(ai: OpenAI) -> None:
    answer = ask(ai, max_output_tokens=4)
    assert answer.status == "incomplete" and answer.output_text != RING
    assert answer.incomplete_details and answer.incomplete_details.reason == "max_output_tokens"
    assert ask(ai, max_output_tokens=1).output_text == answer.output_text
    assert ask(ai, extra_body={"max_output_tokens": 4096.0}).status == "completed"


class About(BaseModel):
    caption: str
    keywords: list[str]


def test_json(ai: OpenAI) -> None:
    answer = ai.responses.parse(model="compact", input=[told()], text_format=About)  # type: ignore[list-item]
    assert answer.output_parsed == About(caption=RING, keywords=["ring", "paper"])
    plain = ask(ai, text={"format": {"type": "json_object"}, "verbosity": "low"})
    assert json.loads(plain.output_text)["description"] == RING


# --- streams -------------------------------------------------------------------------------------

ORDER = [
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.completed",
]


def test_streams(ai: OpenAI) -> None:
    events = list(ai.responses.create(model="compact", input=[told()], stream=True))  # type: ignore[list-item]
    assert [event.type for event in events] == ORDER
    assert [event.sequence_number for event in events] == list(range(len(ORDER)))
    assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == RING
    first, last = events[0], events[-1]
    assert first.type == "response.created" and first.response.status == "in_progress"
    assert last.type == "response.completed" and last.response.output_text == RING
    for event in events:
        type(event).model_validate(event.model_dump())
    cut = ai.responses.create(
        model="compact",
        input=[told()],  # type: ignore[list-item]
        max_output_tokens=4,
        stream=True,
    )
    assert [event.type for event in cut][-1] == "response.incomplete"


def test_the_packages_own_accumulator_reads_the_stream(ai: OpenAI) -> None:
    with ai.responses.stream(model="compact", input=[told()], text_format=About) as stream:  # type: ignore[list-item]
        assert [event.type for event in stream] == ORDER
        assert stream.get_final_response().output_parsed == About(
            caption=RING, keywords=["ring", "paper"]
        )


def test_events_on_the_wire(client: httpx.Client) -> None:
    answer = client.post("/v1/responses", json={"input": [told()], "stream": True})
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    for event, kind in zip(answer.text.split("\n\n"), ORDER, strict=False):
        name, data = event.split("\n")
        assert name == f"event: {kind}"
        assert json.loads(data.removeprefix("data: "))["type"] == kind


def test_asynchronously_each_gets_its_own(server: Server) -> None:
    async def everyone() -> list[str]:
        async with AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none") as client:

            async def one(name: str) -> str:
                items: Any = [told(encode(draw(name)))]
                text = ""
                stream = await client.responses.create(model="compact", input=items, stream=True)
                async for event in stream:
                    text += event.delta if event.type == "response.output_text.delta" else ""
                whole = await client.responses.create(model="compact", input=items)
                assert whole.output_text == text
                return text

            return await asyncio.gather(*map(one, NAMES[:8]))

    assert asyncio.run(everyone()) == [caption_of(name) for name in NAMES[:8]]


# --- parameters ----------------------------------------------------------------------------------

NEUTRAL = {name: values[-1] for name, values in REFUSED.items() if values}
WANTED: dict[str, Any] = {
    "background": True,
    "conversation": "conv_1",
    "previous_response_id": "resp_1",
    "prompt": {"id": "pmpt_1"},
    "tool_choice": "required",
    "tools": [{"type": "web_search"}],
    "top_logprobs": 2,
}


def test_every_parameter_of_the_interface_is_thought_of() -> None:
    known = set(get_type_hints(ResponseCreateParamsNonStreaming)) | {"stream"}
    ours = [*ResponsesRequest.model_fields, *IGNORED, *REFUSED]
    assert known == set(ours) - {"frequency_penalty", "presence_penalty"}
    assert len(ours) == len(set(ours)) and set(WANTED) == set(REFUSED)


def test_parameters_without_effect(ai: OpenAI) -> None:
    more = {**dict.fromkeys((*IGNORED, "top_k"), "x"), **NEUTRAL, "conversation": None, "y": None}
    assert ask(ai, extra_body=more).output_text == RING


@pytest.mark.parametrize("name", WANTED)
def test_what_cannot_be_honoured_is_refused_by_name(ai: OpenAI, name: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        ask(ai, extra_body={name: WANTED[name]})
    assert (refused.value.param, refused.value.code) == (name, "unsupported_parameter")


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"input": []}, "input"),
        ({"input": ""}, "input"),
        ({"input": None}, "input"),
        ({"input": 5}, "input"),
        ({"input": " "}, "input"),
        ({"input": [5]}, "input[0]"),
        ({"input": [{"role": "robot", "content": "x"}]}, "input[0].role"),
        ({"input": [{"type": 5}]}, "input[0].type"),
        ({"input": [{"role": "user", "content": 5}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": ["x"]}]}, "input[0].content[0]"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file"}]}]},
            "input[0].content[0].type",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": None}]}]},
            "input[0].content[0].image_url",
        ),
        ({"text": {"format": {"type": "xml"}}}, "text.format"),
        ({"text": {"format": {"type": "json_schema", "name": "x"}}}, "text.format.schema"),
        ({"max_output_tokens": 1.5}, "max_output_tokens"),
        ({"temperature": 9}, "temperature"),
        ({"top_p": -1}, "top_p"),
        ({"stream_options": {"include_obfuscation": True}}, "stream_options"),
        ({"num_beams": 3}, "num_beams"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_faults_are_named(ai: OpenAI, options: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        ask(ai, extra_body=options)
    assert (refused.value.param, refused.value.code) == (param, "invalid_request")
    assert refused.value.response.headers["content-type"] == "application/problem+json"


def test_errors(ai: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        ai.responses.create(model="gpt-9", input="Hi")
    assert (unknown.value.param, unknown.value.code) == ("model", "model_not_found")
    with pytest.raises(openai.BadRequestError) as broken:
        ask(ai, told(PICTURE[:100]))
    assert broken.value.code == "invalid_image"
    with pytest.raises(openai.NotFoundError):
        ai.responses.retrieve("resp_1")
    address = {"type": "input_image", "image_url": "http://127.0.0.1/x.png"}
    with pytest.raises(openai.PermissionDeniedError):
        ask(ai, {"role": "user", "content": [address]})


def test_keys(locked_server: Server) -> None:
    url = f"{locked_server.url}/v1"
    with OpenAI(base_url=url, api_key=ANNA) as client:
        assert ask(client).output_text == RING
    with (
        OpenAI(base_url=url, api_key=STRANGER, max_retries=0) as client,
        pytest.raises(openai.AuthenticationError),
    ):
        ask(client)
