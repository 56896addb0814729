"""`POST /v1/responses`: the captioner for clients of OpenAI's newer interface."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.routing import APIRoute

from serving.api.bodies import Part
from serving.api.openai.answering import (
    Answered,
    OpenAiBody,
    answered,
    event_stream,
    in_openais_statuses,
    renamed,
)
from serving.api.openai.described import extras, listed, refusals
from serving.api.openai.responses.events import events
from serving.api.openai.responses.request import (
    NAMES,
    caption_options,
    check_parameters,
    question,
    wanted_text_form,
)
from serving.api.openai.responses.schemas import (
    IGNORED,
    REFUSED,
    Incomplete,
    InputMessage,
    OutputMessage,
    OutputText,
    ResponsesAnswer,
    ResponsesEvent,
    ResponsesRequest,
    ResponsesUsage,
    TextOptions,
)
from serving.api.openai.schemas import EXTENSIONS
from serving.api.operations import PIXEL_URL, REF, post
from serving.base import request_id
from serving.base.problems import Problem
from serving.base.settings import Settings

_INPUT = [
    {
        "role": "user",
        "content": [
            {"type": "input_text", "text": "Describe this image."},
            {"type": "input_image", "image_url": PIXEL_URL},
        ],
    }
]

_PARTS: tuple[Part, ...] = (
    (InputMessage, "validation"),
    (TextOptions, "validation"),
    (ResponsesEvent, "serialization"),
)

_DESCRIPTION = """\
Captions one picture for clients of OpenAI's responses: of the user's newest message that has \
`input_image` parts, the first. As `POST /v1/chat/completions` in everything else; nothing is \
stored.

Without effect: {ignored}. Refused, unless with a value that asks for nothing: {refused}; and any \
that is not named here.
"""


def _terms(settings: Settings) -> dict[str, dict[str, Any]]:
    return {
        "model": {"enum": list(settings.model_names)},
        "input": {
            "anyOf": [
                {"type": "string", "minLength": 1},
                {"type": "array", "items": {"$ref": REF.format(model="InputMessage")}},
            ],
            "description": "A text, which is answered with a sentence, or messages.",
            "examples": [_INPUT],
        },
        **extras((*IGNORED, *EXTENSIONS), REFUSED),
    }


RESPONSES = OpenAiBody(ResponsesRequest, _terms, _PARTS)


async def _responses(
    request: Request, asked: Annotated[ResponsesRequest, Depends(RESPONSES)]
) -> Response:
    with in_openais_statuses():
        return await _answer(request, asked)


async def _answer(request: Request, asked: ResponsesRequest) -> Response:
    check_parameters(asked)
    form, what = wanted_text_form(asked), question(asked.input)
    try:
        answer = await answered(request, what, asked.model, caption_options(asked), form)
    except Problem as problem:
        raise renamed(problem, NAMES) from None
    told = _told(asked, answer, request_id.of(request.scope))
    if not asked.stream:
        return Response(told.model_dump_json(), media_type="application/json")
    return event_stream(events(told))


def _told(asked: ResponsesRequest, answer: Answered, identity: str) -> ResponsesAnswer:
    (line, *_) = answer.lines
    asked_form = asked.text.format if asked.text is not None else None
    message = OutputMessage(
        id=f"msg_{identity}",
        status="incomplete" if line.cut else "completed",
        content=[OutputText(text=line.text)],
    )
    return ResponsesAnswer(
        id=f"resp_{identity}",
        created_at=int(time.time()),
        status=message.status,
        incomplete_details=Incomplete(reason="max_output_tokens") if line.cut else None,
        model=answer.model.name,
        output=[message],
        output_text=line.text,
        max_output_tokens=asked.max_output_tokens,
        temperature=asked.temperature,
        text={"format": asked_form or {"type": "text"}},
        top_p=asked.top_p,
        usage=ResponsesUsage(output_tokens=answer.tokens, total_tokens=answer.tokens),
    )


def responses_route(settings: Settings) -> APIRoute:
    """Return the route."""
    return post(
        "/v1/responses",
        _responses,
        ResponsesAnswer,
        refusals(),
        name="responses",
        summary="Caption a picture, as OpenAI's responses",
        description=_DESCRIPTION.format(
            ignored=listed((*IGNORED, *EXTENSIONS)), refused=listed(REFUSED)
        ),
        content={"text/event-stream": _stream()},
        body={"application/json": {"example": {"model": settings.model_names[0], "input": _INPUT}}},
    )


def _stream() -> dict[str, Any]:
    example = ResponsesEvent.model_validate(
        {
            "type": "response.output_text.delta",
            "sequence_number": 4,
            "delta": "A dog runs on the grass.",
        }
    )
    return {
        "schema": {
            "type": "object",
            "description": "With `stream`: each event's `data` is a `ResponsesEvent`.",
            "properties": {"event": {"type": "string"}, "data": {"type": "string"}},
            "required": ["event", "data"],
        },
        "example": {"event": example.type, "data": example.model_dump_json()},
    }
