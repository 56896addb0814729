"""OpenAI's responses: what is asked, and what is answered.

As of chat completions, every parameter is honoured by `ResponsesRequest`, taken without effect
(`IGNORED`), or taken only with a value that asks for nothing (`REFUSED`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic.config import JsonDict

from models.api.options import WHOLE
from serving.api.openai.schemas import Part, StreamOptions

IGNORED = (
    "access_programs",
    "background_options",
    "context_management",
    "frequency_penalty",
    "image",
    "include",
    "instructions",
    "max_tool_calls",
    "metadata",
    "moderation",
    "parallel_tool_calls",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "store",
    "truncation",
    "user",
)
"""Parameters without effect here: bookkeeping, hints that bind nobody, and what language models are
told. The penalties are none of OpenAI's; PhotoPrism sends them."""

REFUSED: dict[str, tuple[Any, ...]] = {
    "background": (False,),
    "conversation": (),
    "previous_response_id": ("",),
    "prompt": (),
    "tool_choice": ("none", "auto"),
    "tools": ([],),
    "top_logprobs": (0,),
}
"""Parameters that would change the answer and cannot be honoured, each with the values that ask for
nothing. Nothing is stored, so there is no response or conversation to go on with."""


class InputText(Part):
    """Text in a message."""

    type: Literal["input_text"]
    text: str


class InputImage(Part):
    """A picture in a message."""

    type: Literal["input_image"]
    image_url: Annotated[
        str,
        Field(
            min_length=1,
            description="A `data:` URL that holds the picture or, where the server fetches them, "
            "an http(s) one.",
        ),
    ]
    detail: Annotated[str | None, Field(description="Without effect.")] = None


InputPart: TypeAlias = Annotated[InputText | InputImage, Field(discriminator="type")]


class InputMessage(Part):
    """A message. Of the user's, the newest that has pictures counts, and of those the first.

    What others say, and items of other types, are without effect.
    """

    role: Literal["user", "system", "developer", "assistant"]
    # Its own title: generators of clients name a type after it, and a chat message has one, too.
    content: Annotated[str | list[InputPart] | None, Field(title="InputContent")] = None
    type: Literal["message"] | None = None


class TextOptions(Part):
    """What the text is to be."""

    format: Annotated[
        Any,
        Field(
            description="`json_object` or `json_schema`: the caption, and the things that it "
            "names, in members called `description`, `alt_text`, `title`, `tags` and the like."
        ),
        WithJsonSchema({}),
    ] = None
    verbosity: Annotated[str | None, Field(description="Without effect.")] = None


class ResponsesRequest(BaseModel):
    """What `POST /v1/responses` takes, but for `IGNORED` and `REFUSED`."""

    model_config = ConfigDict(extra="allow")

    model: Annotated[
        str | None, Field(description="A served model's name; the first by default.")
    ] = None
    # Which of the two it is, `serving.api.openai.responses.request` says in better words.
    input: Any
    max_output_tokens: Annotated[
        int | None,
        Field(
            description="Longest caption in tokens, at least 4; above the server's own limit, that "
            "holds. 0 and less set none."
        ),
        WHOLE,
    ] = None
    temperature: Annotated[
        float | None,
        Field(ge=0, le=5, description="Without effect: the model's own search reads better."),
    ] = None
    top_p: Annotated[float | None, Field(ge=0, le=1, description="Without effect.")] = None
    text: TextOptions | None = None
    stream: Annotated[
        bool | None,
        Field(description="Answer with server-sent events: the whole caption in one of them."),
    ] = None
    stream_options: StreamOptions | None = None


# --- answers --------------------------------------------------------------------------------------


class OutputText(BaseModel):
    """A caption."""

    type: Literal["output_text"] = "output_text"
    text: Annotated[str, Field(examples=["A dog runs on the grass."])]
    annotations: Annotated[list[dict[str, Any]], Field(description="Always empty.")] = []
    logprobs: Annotated[list[dict[str, Any]], Field(description="Always empty.")] = []


Status: TypeAlias = Literal["completed", "incomplete", "in_progress"]


class OutputMessage(BaseModel):
    """The message that has the caption."""

    type: Literal["message"] = "message"
    id: str
    status: Status
    role: Literal["assistant"] = "assistant"
    content: list[OutputText]


class InputTokens(BaseModel):
    """Details of the tokens that were read."""

    cached_tokens: int = 0
    cache_write_tokens: int = 0


class OutputTokens(BaseModel):
    """Details of the tokens that were written."""

    reasoning_tokens: int = 0


class ResponsesUsage(BaseModel):
    """Counts of tokens."""

    input_tokens: Annotated[
        int, Field(description="0: neither pictures nor prompts are counted in tokens.")
    ] = 0
    input_tokens_details: InputTokens = InputTokens()
    output_tokens: Annotated[
        int, Field(description="Tokens of the caption, end token included.", examples=[9])
    ]
    output_tokens_details: OutputTokens = OutputTokens()
    total_tokens: Annotated[int, Field(examples=[9])]


class Incomplete(BaseModel):
    """Why a caption is not whole."""

    reason: Literal["max_output_tokens"]


RESPONSE_EXAMPLE: JsonDict = {
    "id": "resp_5f0c7b2e9d0a4d0c8f6f0e7c9b1a2d3e",
    "object": "response",
    "created_at": 1763856000,
    "status": "completed",
    "model": "compact",
    "output": [
        {
            "type": "message",
            "id": "msg_5f0c7b2e9d0a4d0c8f6f0e7c9b1a2d3e",
            "status": "completed",
            "role": "assistant",
            "content": [
                {
                    "type": "output_text",
                    "text": "A dog runs on the grass.",
                    "annotations": [],
                    "logprobs": [],
                }
            ],
        }
    ],
    "output_text": "A dog runs on the grass.",
    "parallel_tool_calls": False,
    "store": False,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "truncation": "disabled",
    "metadata": {},
    "usage": {
        "input_tokens": 0,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 9,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 9,
    },
}
"""A good answer, as the document shows it."""


class ResponsesAnswer(BaseModel):
    """A caption as OpenAI's response object. What has no meaning here says nothing."""

    model_config = ConfigDict(json_schema_extra={"example": RESPONSE_EXAMPLE})

    id: Annotated[str, Field(examples=["resp_5f0c7b2e9d0a4d0c8f6f0e7c9b1a2d3e"])]
    object: Literal["response"] = "response"
    created_at: Annotated[int, Field(description="Unix seconds.")]
    status: Annotated[
        Status, Field(description="`incomplete`: it was cut at the longest length allowed.")
    ]
    error: Annotated[dict[str, Any] | None, Field(description="Always null.")] = None
    incomplete_details: Incomplete | None = None
    instructions: Annotated[str | None, Field(description="Always null.")] = None
    model: Annotated[str, Field(description="The model's name.", examples=["compact"])]
    output: Annotated[
        list[OutputMessage], Field(description="One message; in a stream's first events, none.")
    ]
    output_text: Annotated[str, Field(description="The caption once more.")]
    max_output_tokens: int | None = None
    parallel_tool_calls: bool = False
    previous_response_id: Annotated[str | None, Field(description="Always null.")] = None
    store: Annotated[bool, Field(description="Nothing is stored.")] = False
    temperature: float | None = None
    text: dict[str, Any]
    tool_choice: Literal["auto"] = "auto"
    tools: list[dict[str, Any]] = []
    top_p: float | None = None
    truncation: Literal["disabled"] = "disabled"
    metadata: dict[str, str] = {}
    usage: ResponsesUsage | None = None


class ResponsesEvent(BaseModel):
    """One event of a stream; what else it has hangs on its type."""

    model_config = ConfigDict(extra="allow")

    type: Annotated[str, Field(examples=["response.output_text.delta"])]
    sequence_number: int
