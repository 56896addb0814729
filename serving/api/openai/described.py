"""What the OpenAPI document says of OpenAI's chat completions."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from fastapi.routing import APIRoute

from models.api.options import CaptionOptions
from serving.api.bodies import Part
from serving.api.openai.schemas import (
    COMPLETION_EXAMPLE,
    IGNORED,
    REFUSED,
    ChatCompletion,
    ChatCompletionChunk,
    ChunkChoice,
    Delta,
    Message,
    StreamOptions,
)
from serving.api.operations import (
    PICTURE_PROBLEMS,
    PIXEL_URL,
    REF,
    REQUEST_PROBLEMS,
    URL_PROBLEMS,
    Endpoint,
    post,
    problems,
)
from serving.base.settings import Settings

PARTS: tuple[Part, ...] = (
    (Message, "validation"),
    (StreamOptions, "validation"),
    (ChatCompletionChunk, "serialization"),
)
"""Models that the document refers to beside the answer's own."""

_OF_OPTIONS = {
    "n": "num_captions",
    "max_tokens": "max_length",
    "max_completion_tokens": "max_length",
    "temperature": "temperature",
}
"""Parameters, and the options whose limits they have."""

_MESSAGES = [
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "Describe this image."},
            {"type": "image_url", "image_url": {"url": PIXEL_URL}},
        ],
    }
]

_DESCRIPTION = """\
Captions one picture for any OpenAI client. The picture is one `image_url` part of a user's \
message. What the user writes beside it is the prompt where the model takes one (see `options` of \
`GET /v1/models`); other models describe the picture whatever is written, so "Describe this \
image" does no harm. `temperature` 0, or none, is the model's own search.

A stream has each caption whole in one chunk: the search knows its best caption at the end only.

Without effect: {ignored}. Refused, unless with a value that asks for nothing: {refused}; and any \
that is not named here. Null, false and what is empty ask for nothing.

Errors have OpenAI's `error` beside the problem details; what is 415 or 422 elsewhere is 400 here.
"""


def described(endpoint: Endpoint, settings: Settings) -> APIRoute:
    """Return the route that `endpoint` answers."""
    refusals = problems(*REQUEST_PROBLEMS, *PICTURE_PROBLEMS, *URL_PROBLEMS)
    for status in ("415", "422"):
        refusals["400"]["description"] += f"; {refusals.pop(status)['description']}"
    return post(
        "/v1/chat/completions",
        endpoint,
        ChatCompletion,
        refusals,
        name="chatCompletions",
        summary="Caption a picture, as OpenAI's chat completions",
        description=_DESCRIPTION.format(ignored=_listed(IGNORED), refused=_listed(REFUSED)),
        content={"text/event-stream": _stream()},
        body={
            "application/json": {
                "example": {"model": settings.model_names[0], "messages": _MESSAGES}
            }
        },
    )


def terms(settings: Settings) -> dict[str, dict[str, Any]]:
    """Return what the server's limits say of the parameters, and those that no model declares."""
    options = CaptionOptions.model_json_schema()["properties"]
    limits: dict[str, dict[str, Any]] = {}
    for name, option in _OF_OPTIONS.items():
        value = options[option]["anyOf"][0]
        limits[name] = {
            key: value[key] for key in ("minimum", "maximum", "exclusiveMinimum") if key in value
        }
        if option == "max_length":
            del limits[name]["maximum"]  # a higher limit holds no less
        if option == "temperature":
            limits[name]["minimum"] = limits[name].pop("exclusiveMinimum")
    return {
        **limits,
        "model": {"enum": list(settings.model_names)},
        "messages": {"items": {"$ref": REF.format(model="Message")}, "examples": [_MESSAGES]},
        **{name: {"description": "Without effect."} for name in IGNORED},
        # No type: an enumeration of lists and objects is more than generators of clients can read.
        **{name: {"description": _unless(name)} for name in REFUSED},
    }


def _unless(name: str) -> str:
    values = ", ".join(f"`{json.dumps(value)}`" for value in (None, *REFUSED[name]))
    return f"Refused, unless it asks for nothing: {values}."


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _stream() -> dict[str, Any]:
    return {
        "schema": {
            "type": "object",
            "description": "With `stream`: each event's `data` is a `ChatCompletionChunk`; the "
            "last one's is `[DONE]`.",
            "properties": {"data": {"type": "string"}},
            "required": ["data"],
        },
        "example": {"data": _chunk_example().model_dump_json()},
    }


def _chunk_example() -> ChatCompletionChunk:
    completion = ChatCompletion.model_validate(COMPLETION_EXAMPLE)
    choice = completion.choices[0]
    delta = Delta(content=choice.message.content)
    return ChatCompletionChunk(
        id=completion.id,
        created=completion.created,
        model=completion.model,
        system_fingerprint=completion.system_fingerprint,
        choices=[ChunkChoice(index=choice.index, delta=delta)],
    )
