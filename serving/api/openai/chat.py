"""`POST /v1/chat/completions`: the captioner for any OpenAI client.

The method's whole answer is there at once, so a stream has it in one chunk: to hand it out word by
word would only look as if it were being written.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import Depends, Request, Response
from fastapi.routing import APIRoute

from serving.api.bodies import JsonBody
from serving.api.openai.described import PARTS, described, terms
from serving.api.openai.request import (
    caption_options,
    check_parameters,
    in_openai_terms,
    picture_and_text,
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
from serving.contract.requests import CaptionForm
from serving.contract.schemas import CaptionResponse
from serving.gateway.gateway import Gateway, gateway_of

_BAD_REQUEST = 400
_THE_REQUESTS_FAULT = (415, 422)
"""Statuses that OpenAI does not tell apart from 400; its clients know no other."""


@contextmanager
def _in_openais_statuses() -> Iterator[None]:
    try:
        yield
    except Problem as problem:
        if problem.status in _THE_REQUESTS_FAULT:
            problem.status = _BAD_REQUEST
        raise


class _ChatBody(JsonBody[ChatRequest]):
    async def __call__(self, request: Request) -> ChatRequest:
        with _in_openais_statuses():
            return await super().__call__(request)


CHAT = _ChatBody(ChatRequest, terms, PARTS)


def openai_route(settings: Settings) -> APIRoute:
    """Return the route."""
    return described(_chat_completions, settings)


async def _chat_completions(
    request: Request, asked: Annotated[ChatRequest, Depends(CHAT)]
) -> Response:
    with _in_openais_statuses():
        return await _answer(request, asked)


async def _answer(request: Request, asked: ChatRequest) -> Response:
    check_parameters(asked)
    url, text = picture_and_text(asked.messages)
    identity = request_id.of(request.scope)
    try:
        answer = await _caption(gateway_of(request), asked, url, text, identity)
    except Problem as problem:
        raise in_openai_terms(problem, asked) from None
    completion = _completion(answer, identity)
    if not asked.stream:
        return Response(completion.model_dump_json(), media_type="application/json")
    with_usage = asked.stream_options is not None and bool(asked.stream_options.include_usage)
    events = "".join(_event(chunk) for chunk in _chunks(completion, with_usage))
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return Response(f"{events}data: [DONE]\n\n", headers=headers, media_type="text/event-stream")


async def _caption(
    gateway: Gateway, asked: ChatRequest, url: str, text: str, identity: str
) -> CaptionResponse:
    options = caption_options(asked, text, gateway.models.takes_prompt(asked.model))
    model = gateway.models.choose(asked.model, options)  # what cannot be honoured costs no fetch
    image = await gateway.fetch(url, model)
    return await gateway.caption(CaptionForm(image, options, asked.model, None), identity)


def _completion(answer: CaptionResponse, identity: str) -> ChatCompletion:
    tokens = sum(caption.tokens or 0 for caption in answer.captions)
    return ChatCompletion(
        id=f"chatcmpl-{identity}",
        created=int(time.time()),
        model=answer.model.name,
        system_fingerprint=f"{answer.model.name}:{answer.model.version}",
        choices=[
            Choice(
                index=index,
                message=AnswerMessage(content=caption.text),
                finish_reason="length" if caption.truncated else "stop",
            )
            for index, caption in enumerate(answer.captions)
        ],
        usage=Usage(completion_tokens=tokens, total_tokens=tokens),
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
