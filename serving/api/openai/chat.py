"""`POST /v1/chat/completions`: the captioner for any OpenAI client.

The method's whole answer is there at once, so a stream has it in one chunk: to hand it out word by
word would only look as if it were being written.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, Request, Response
from fastapi.routing import APIRoute

from serving.api.openai.answering import (
    Answered,
    OpenAiBody,
    answered,
    event_stream,
    in_openais_statuses,
    renamed,
)
from serving.api.openai.conversation import question
from serving.api.openai.described import PARTS, described, terms
from serving.api.openai.request import (
    caption_options,
    check_parameters,
    names,
    wanted_response_form,
    wanted_stops,
)
from serving.api.openai.schemas import (
    AnswerMessage,
    ChatCompletion,
    ChatCompletionChunk,
    ChatRequest,
    Choice,
    ChunkChoice,
    Delta,
    Usage,
)
from serving.base import request_id
from serving.base.problems import Problem
from serving.base.settings import Settings

CHAT = OpenAiBody(ChatRequest, terms, PARTS)


def chat_route(settings: Settings) -> APIRoute:
    """Return the route."""
    return described(_chat_completions, settings)


async def _chat_completions(
    request: Request, asked: Annotated[ChatRequest, Depends(CHAT)]
) -> Response:
    with in_openais_statuses():
        return await _answer(request, asked)


async def _answer(request: Request, asked: ChatRequest) -> Response:
    check_parameters(asked)
    form, stops = wanted_response_form(asked), wanted_stops(asked)
    what, options = question(asked.messages), caption_options(asked)
    try:
        answer = await answered(request, what, asked.model, options, form, stops)
    except Problem as problem:
        raise renamed(problem, names(asked)) from None
    completion = _completion(answer, request_id.of(request.scope))
    if not asked.stream:
        return Response(completion.model_dump_json(), media_type="application/json")
    with_usage = asked.stream_options is not None and bool(asked.stream_options.include_usage)
    events = "".join(_event(chunk) for chunk in _chunks(completion, with_usage))
    return event_stream(f"{events}data: [DONE]\n\n")


def _completion(answer: Answered, identity: str) -> ChatCompletion:
    return ChatCompletion(
        id=f"chatcmpl-{identity}",
        created=int(time.time()),
        model=answer.model.name,
        system_fingerprint=answer.model.tag,
        choices=[
            Choice(
                index=index,
                message=AnswerMessage(content=line.text),
                finish_reason="length" if line.cut else "stop",
            )
            for index, line in enumerate(answer.lines)
        ],
        usage=Usage(completion_tokens=answer.tokens, total_tokens=answer.tokens),
    )


def _chunks(completion: ChatCompletion, with_usage: bool) -> Iterator[ChatCompletionChunk]:
    """Yield a stream's events: who speaks, each caption whole, how it ended; then the usage."""

    def chunk(*choices: ChunkChoice, usage: Usage | None = None) -> ChatCompletionChunk:
        return ChatCompletionChunk(
            **completion.model_dump(include={"id", "created", "model", "system_fingerprint"}),
            choices=list(choices),
            usage=usage,
        )

    for choice in completion.choices:
        yield chunk(ChunkChoice(index=choice.index, delta=Delta(role="assistant", content="")))
        delta = Delta(content=choice.message.content)
        yield chunk(ChunkChoice(index=choice.index, delta=delta))
        end = ChunkChoice(index=choice.index, delta=Delta(), finish_reason=choice.finish_reason)
        yield chunk(end)
    if with_usage:
        yield chunk(usage=completion.usage)


def _event(chunk: ChatCompletionChunk) -> str:
    content = chunk.model_dump()
    for choice, written in zip(chunk.choices, content["choices"], strict=True):
        # A delta has what it adds, and nothing else.
        written["delta"] = choice.delta.model_dump(exclude_none=True)
    return f"data: {json.dumps(content, ensure_ascii=False, separators=(',', ':'))}\n\n"
