"""OpenAI's chat completions, as far as a captioner can honour them.

Every parameter of OpenAI's interface is in one of three places: `ChatRequest` honours it, `IGNORED`
takes it without effect, because it cannot change what is answered, and `REFUSED` takes it only with
a value that asks for nothing. `EXTENSIONS` are what other servers of this interface take.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)
from pydantic.config import JsonDict

from models.api.options import WHOLE

IGNORED = (
    "metadata",
    "moderation",
    "parallel_tool_calls",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning_effort",
    "safety_identifier",
    "service_tier",
    "store",
    "user",
    "verbosity",
)
"""Parameters without effect here: bookkeeping, and hints that bind nobody."""

EXTENSIONS = (
    "enable_thinking",
    "keep_alive",
    "min_p",
    "num_ctx",
    "repeat_penalty",
    "repetition_penalty",
    "think",
    "thinking",
    "top_k",
)
"""Parameters that other servers have added to OpenAI's, and that clients send to any server: hints
to language models. Without effect here."""

REFUSED: dict[str, tuple[Any, ...]] = {
    "audio": (),
    "frequency_penalty": (0,),
    "function_call": ("none", "auto"),
    "functions": ([],),
    "logit_bias": ({},),
    "logprobs": (False,),
    "modalities": (["text"],),
    "prediction": (),
    "presence_penalty": (0,),
    "tool_choice": ("none", "auto"),
    "tools": ([],),
    "top_logprobs": (0,),
    "web_search_options": (),
}
"""Parameters that would change the answer and cannot be honoured, each with the values that ask for
nothing; what `asks_for_nothing` always does."""

ASKED_BY_BEING_THERE = ("web_search_options",)
"""Those of `REFUSED` that an empty object asks for: only null does not."""

BOOKKEEPING = (
    "cache_control",
    "created_at",
    "id",
    "metadata",
    "prompt_cache_breakpoint",
    "status",
    "timestamp",
)
"""Members that clients and what stands before them put into messages and parts; without effect."""


MOST_STOPS = 16
"""Texts that a caption may be told to end before; OpenAI's own limit is 4."""


def asks_for_nothing(value: Any) -> bool:
    """Whether a member says no more than if it were left out.

    These are null, false, what is empty, and an object of nothing but such: many clients write
    every member that they know.
    """
    if isinstance(value, dict):
        return all(map(asks_for_nothing, value.values()))
    return value is None or value is False or value in ("", [])


class Part(BaseModel):
    """An object within a request. Members that it lacks are refused if they ask for something."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"additionalProperties": True}
    )

    @model_validator(mode="before")
    @classmethod
    def _leave_out(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {
            name: member
            for name, member in value.items()
            if name in cls.model_fields or not (name in BOOKKEEPING or asks_for_nothing(member))
        }


class TextPart(Part):
    """Text in a message."""

    type: Literal["text"]
    text: str


class ImageUrl(Part):
    """Where a picture is."""

    url: Annotated[
        str,
        Field(
            min_length=1,
            description="A `data:` URL that holds the picture or, where the server fetches them, "
            "an http(s) one.",
        ),
    ]
    detail: Annotated[str | None, Field(description="Without effect.")] = None
    format: Annotated[
        str | None, Field(description="Without effect: the picture's bytes say what it is.")
    ] = None


def _address(value: Any) -> Any:
    return {"url": value} if isinstance(value, str) else value


class ImagePart(Part):
    """A picture in a message. Its address may stand there alone, without an object around it."""

    type: Literal["image_url"]
    image_url: Annotated[ImageUrl, BeforeValidator(_address)]


ContentPart: TypeAlias = Annotated[TextPart | ImagePart, Field(discriminator="type")]


class Message(Part):
    """A message. Of the user's, the newest that has pictures counts, and of those the first.

    Other members are without effect if they ask for nothing (null, false, empty) or are for
    bookkeeping, such as `id` and `cache_control`; what asks for something is refused.
    """

    role: Annotated[
        Literal["user", "system", "developer", "assistant", "tool", "function"],
        Field(
            description="What others than the user say is without effect. What the user wrote "
            "before an `assistant` answered is not asked again."
        ),
    ]
    content: str | list[ContentPart] | None = None
    name: Annotated[str | None, Field(description="Without effect.")] = None
    type: Annotated[Literal["message"] | None, Field(description="Without effect.")] = None


class StreamOptions(Part):
    """What a stream has."""

    include_usage: Annotated[
        bool | None, Field(description="End with a chunk that has the usage counts.")
    ] = None
    include_obfuscation: Annotated[bool | None, Field(description="Without effect.")] = None


_ANY = WithJsonSchema({})
"""Of no type, for what asks for nothing is taken for that whatever its type is."""


class ChatRequest(BaseModel):
    """What `POST /v1/chat/completions` takes, but for `IGNORED` and `REFUSED`."""

    # Others are looked at in `serving.api.openai.answering`, which has better words for them.
    model_config = ConfigDict(extra="allow")

    model: Annotated[
        str | None, Field(description="A served model's name; the first by default.")
    ] = None
    messages: Annotated[list[Any], Field(min_length=1, max_length=100)]
    n: Annotated[
        int | None,
        Field(description="How many captions: choices, best first. Fewer where no more are found."),
        WHOLE,
    ] = None
    max_completion_tokens: Annotated[
        int | None,
        Field(
            description="Longest caption in tokens, at least 4; above the server's own limit, that "
            "holds. 0 and less set none."
        ),
        WHOLE,
    ] = None
    max_tokens: Annotated[int | None, Field(description="The same, by its old name."), WHOLE] = None
    temperature: Annotated[
        float | None,
        Field(
            description="With `n` above 1 or a `seed`: sample at this temperature, 0 not at all. "
            "Otherwise without effect: the model's own search reads better."
        ),
    ] = None
    top_p: Annotated[
        float | None,
        Field(
            ge=0,
            le=1,
            description="Nucleus of the sampling; 0 only where `temperature` is 0 and nothing is "
            "sampled. Below 1 without `temperature`: as if that were 1.",
        ),
    ] = None
    seed: Annotated[int | None, Field(description="Makes sampling repeatable."), WHOLE] = None
    stop: Annotated[
        Any,
        Field(
            description=f"A text, or a list of at most {MOST_STOPS}: a caption ends before the "
            "first of them."
        ),
        _ANY,
    ] = None
    response_format: Annotated[
        Any,
        Field(
            description="`json_object` or `json_schema`: the caption, and the things that it "
            "names, in members called `description`, `alt_text`, `title`, `tags` and the like."
        ),
        _ANY,
    ] = None
    stream: Annotated[
        bool | None,
        Field(description="Answer with server-sent events: the whole caption in one chunk."),
    ] = None
    stream_options: StreamOptions | None = None


class Usage(BaseModel):
    """Counts of tokens."""

    prompt_tokens: Annotated[
        int, Field(description="0: neither pictures nor prompts are counted in tokens.")
    ] = 0
    completion_tokens: Annotated[
        int, Field(description="Tokens of all captions, end tokens included.", examples=[9])
    ]
    total_tokens: Annotated[int, Field(examples=[9])]


_NULL = "Always null."
# Its type is OpenAI's all the same: a type of null alone is one that generators of clients lack.


class AnswerMessage(BaseModel):
    """A caption."""

    role: Literal["assistant"] = "assistant"
    content: Annotated[str, Field(examples=["A dog runs on the grass."])]
    refusal: Annotated[str | None, Field(description=_NULL)] = None


FinishReason: TypeAlias = Literal["stop", "length"]


class Choice(BaseModel):
    """One caption of several."""

    index: int
    message: AnswerMessage
    logprobs: Annotated[dict[str, Any] | None, Field(description=_NULL)] = None
    finish_reason: Annotated[
        FinishReason, Field(description="`length`: it was cut at the longest length allowed.")
    ]


COMPLETION_EXAMPLE: JsonDict = {
    "id": "chatcmpl-5f0c7b2e9d0a4d0c8f6f0e7c9b1a2d3e",
    "object": "chat.completion",
    "created": 1763856000,
    "model": "compact",
    "system_fingerprint": "compact:1.0.0",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "A dog runs on the grass."},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 0, "completion_tokens": 9, "total_tokens": 9},
}
"""A good answer, as the document shows it."""


class ChatCompletion(BaseModel):
    """Captions in OpenAI's form."""

    model_config = ConfigDict(json_schema_extra={"example": COMPLETION_EXAMPLE})

    id: Annotated[str, Field(examples=["chatcmpl-5f0c7b2e9d0a4d0c8f6f0e7c9b1a2d3e"])]
    object: Literal["chat.completion"] = "chat.completion"
    created: Annotated[int, Field(description="Unix seconds.")]
    model: Annotated[str, Field(description="The model's name.", examples=["compact"])]
    system_fingerprint: Annotated[
        str, Field(description="The model's name and version.", examples=["compact:1.0.0"])
    ]
    choices: list[Choice]
    usage: Usage


class Delta(BaseModel):
    """What a chunk adds to a caption."""

    role: Literal["assistant"] | None = None
    content: str | None = None


class ChunkChoice(BaseModel):
    """One caption's part of a chunk."""

    index: int
    delta: Delta
    logprobs: Annotated[dict[str, Any] | None, Field(description=_NULL)] = None
    finish_reason: FinishReason | None = None


class ChatCompletionChunk(BaseModel):
    """One event of a stream."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    system_fingerprint: str
    choices: list[ChunkChoice]
    usage: Usage | None = None
