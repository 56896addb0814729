"""What the OpenAPI document says of OpenAI's chat completions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from fastapi.routing import APIRoute

from models.api.options import CaptionOptions
from serving.api.bodies import Part
from serving.api.openai.schemas import (
    COMPLETION_EXAMPLE,
    EXTENSIONS,
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
Captions one picture for any OpenAI client: of the user's newest message that has `image_url` \
parts, the first. What the user writes is the prompt of models that do what a sentence asks for; \
other models describe the picture whatever is written, so "Describe this image" does no harm. A \
conversation without any picture is answered with a sentence that says so.

A `temperature` counts with `n` above 1 or a `seed` only; without them it is the model's own search.

A stream has each caption whole in one chunk: the search knows its best caption at the end only.

Without effect: {ignored}. Refused, unless with a value that asks for nothing: {refused}; and any \
that is not named here. Null, false and what is empty ask for nothing.

Errors have OpenAI's `error` beside the problem details; what is 415 or 422 elsewhere is 400 here.
"""


def described(endpoint: Endpoint, settings: Settings) -> APIRoute:
    """Return the route that `endpoint` answers."""
    return post(
        "/v1/chat/completions",
        endpoint,
        ChatCompletion,
        refusals(),
        name="chatCompletions",
        summary="Caption a picture, as OpenAI's chat completions",
        description=_DESCRIPTION.format(
            ignored=listed((*IGNORED, *EXTENSIONS)), refused=listed(REFUSED)
        ),
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
            limits[name] = {}  # any number of tokens is taken
        if option == "temperature":
            limits[name]["minimum"] = limits[name].pop("exclusiveMinimum")
    return {
        **limits,
        "model": {"enum": list(settings.model_names)},
        "messages": {"items": {"$ref": REF.format(model="Message")}, "examples": [_MESSAGES]},
        **extras((*IGNORED, *EXTENSIONS), REFUSED),
    }


def refusals() -> dict[int | str, dict[str, Any]]:
    """Return the answers, by status, that a request may be refused with."""
    answers = problems(*REQUEST_PROBLEMS, *PICTURE_PROBLEMS, *URL_PROBLEMS)
    for status in ("415", "422"):
        answers["400"]["description"] += f"; {answers.pop(status)['description']}"
    return answers


def extras(
    ignored: Iterable[str], refused: Mapping[str, tuple[Any, ...]]
) -> dict[str, dict[str, Any]]:
    """Return what the document says of parameters that nothing is done with."""
    return {
        **{name: {"description": "Without effect."} for name in ignored},
        # No type: an enumeration of lists and objects is more than generators of clients can read.
        **{name: {"description": _unless(values)} for name, values in refused.items()},
    }


def _unless(harmless: tuple[Any, ...]) -> str:
    values = ", ".join(f"`{json.dumps(value)}`" for value in (None, *harmless))
    return f"Refused, unless it asks for nothing: {values}."


def listed(names: Iterable[str]) -> str:
    """Return names as a sentence has them."""
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
