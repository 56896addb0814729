"""The OpenAPI document's part on OpenAI's chat completions."""

from __future__ import annotations

from typing import Any

from serving.api.openai.schemas import (
    COMPLETION_EXAMPLE,
    IGNORED,
    REFUSED,
    ChatCompletion,
    ChatCompletionChunk,
    ChatRequest,
    ChunkChoice,
    Delta,
)
from serving.api.openapi.parts import (
    PICTURE_PROBLEMS,
    PIXEL_URL,
    REF,
    REQUEST_PROBLEMS,
    URL_PROBLEMS,
    body,
    ok,
    option_fields,
    problems,
)
from serving.base.settings import Settings

_OF_OPTIONS = {
    "n": "num_captions",
    "max_tokens": "max_length",
    "max_completion_tokens": "max_length",
    "temperature": "temperature",
    "top_p": "top_p",
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

Without effect: {ignored}. Refused, unless with a value that asks for nothing: {refused}.

Errors have OpenAI's `error` beside the problem details; what is 415 or 422 elsewhere is 400 here.
"""


def chat_paths(settings: Settings) -> dict[str, Any]:
    """Return the `paths` of the document for OpenAI's chat completions."""
    answers = problems(*REQUEST_PROBLEMS, *PICTURE_PROBLEMS, *URL_PROBLEMS)
    for status in ("415", "422"):
        refusal = answers.pop(status)
        answers["400"]["description"] += f"; {refusal['description']}"
    operation = {
        "operationId": "chatCompletions",
        "tags": ["captions"],
        "summary": "Caption a picture, as OpenAI's chat completions",
        "description": _DESCRIPTION.format(ignored=_listed(IGNORED), refused=_listed(REFUSED)),
        "requestBody": body(
            "application/json",
            ["messages"],
            _fields(settings),
            {"model": settings.model_names[0], "messages": _MESSAGES},
        ),
        "responses": {"200": _answers(), **answers},
    }
    return {"/v1/chat/completions": {"post": operation}}


def _listed(names: Any) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _fields(settings: Settings) -> dict[str, Any]:
    fields: dict[str, Any] = ChatRequest.model_json_schema(ref_template=REF)["properties"]
    options = option_fields()
    for name, option in _OF_OPTIONS.items():
        limits = {
            key: options[option][key]
            for key in ("minimum", "maximum", "exclusiveMinimum")
            if key in options[option]
        }
        if option == "max_length":
            del limits["maximum"]  # a higher limit holds no less
        if option == "temperature":
            limits["minimum"] = limits.pop("exclusiveMinimum")
        fields[name]["anyOf"][0] |= limits
    fields["model"]["anyOf"][0]["enum"] = list(settings.model_names)
    fields["messages"] |= {
        "items": {"$ref": REF.format(model="Message")},
        "examples": [_MESSAGES],
    }
    return {
        **fields,
        **{name: {"description": "Without effect."} for name in IGNORED},
        **{name: {"enum": [None, *REFUSED[name]]} for name in REFUSED},
    }


def _answers() -> dict[str, Any]:
    answer = ok("ChatCompletion")
    answer["content"]["text/event-stream"] = {
        "schema": {
            "type": "object",
            "description": "With `stream`: each event's `data` is a `ChatCompletionChunk`; the "
            "last one's is `[DONE]`.",
            "properties": {"data": {"type": "string"}},
            "required": ["data"],
        },
        "example": {"data": _chunk_example().model_dump_json()},
    }
    return answer


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
