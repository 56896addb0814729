"""Ollama's operations: the captioner for any program that speaks to an Ollama server.

They are not in the OpenAPI document: their clients have them written in, and `docs/integrations.md`
says what of them is honoured.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.routing import APIRoute

from serving.api.bodies import JsonBody
from serving.api.ollama.answers import Reply, Way
from serving.api.ollama.models import running, shown, tags
from serving.api.ollama.request import (
    ChatRequest,
    GenerateRequest,
    ShowRequest,
    asked_model,
    caption_options,
    latest,
    question,
    wanted_format,
)
from serving.api.talking import picture_url
from serving.base import request_id
from serving.base.settings import Settings
from serving.contract.requests import CaptionForm
from serving.gateway.gateway import gateway_of

SPOKEN_VERSION = "0.13.0"
"""Version of Ollama whose interface this is; clients look at it to know what they may ask for."""

# Ollama's examples for curl name no type of the body, so curl says that it is a form.
_GENERATE = JsonBody(GenerateRequest, lambda _: {}, any_type=True)
_CHAT = JsonBody(ChatRequest, lambda _: {}, any_type=True)
_SHOW = JsonBody(ShowRequest, lambda _: {}, any_type=True)


def ollama_routes(_: Settings) -> Iterator[APIRoute]:
    """Yield the routes."""
    for path, tells in (("version", _version), ("tags", _tags), ("ps", _running)):
        yield _route(path, tells, "GET", "HEAD")
    for path, works in (("generate", _generate), ("chat", _chat), ("show", _show)):
        yield _route(path, works, "POST")


def _route(path: str, endpoint: Any, *methods: str) -> APIRoute:
    return APIRoute(f"/api/{path}", endpoint, methods=list(methods), include_in_schema=False)


async def _version(_: Request) -> Response:
    return _json({"version": SPOKEN_VERSION})


async def _tags(request: Request) -> Response:
    return _json(tags(gateway_of(request).models))


async def _running(request: Request) -> Response:
    return _json(running(gateway_of(request).models))


async def _show(request: Request, asked: Annotated[ShowRequest, Depends(_SHOW)]) -> Response:
    return _json(shown(asked_model(gateway_of(request).models, asked.model or asked.name)))


async def _generate(
    request: Request, asked: Annotated[GenerateRequest, Depends(_GENERATE)]
) -> Response:
    return await _answer(request, asked, "generate")


async def _chat(request: Request, asked: Annotated[ChatRequest, Depends(_CHAT)]) -> Response:
    return await _answer(request, asked, "chat")


async def _answer(request: Request, asked: GenerateRequest | ChatRequest, way: Way) -> Response:
    gateway = gateway_of(request)
    model = asked_model(gateway.models, asked.model)
    form = wanted_format(asked.format)
    reply = Reply(way, asked.model or latest(model))
    said = question(asked)
    if said is None:
        reply.reason = "load"
    elif said.image is None:
        reply.decline(form)
    else:
        options = caption_options(asked, said.text, model, gateway.models.honoured(model))
        image = await gateway.fetch(picture_url(said.image), model)
        caption = CaptionForm(image, options, model.name, None)
        identity = request_id.of(request.scope)
        reply.caption(await gateway.caption(caption, identity), form)
    return reply.response(asked.stream is not False)


def _json(content: dict[str, Any]) -> Response:
    return Response(json.dumps(content, ensure_ascii=False), media_type="application/json")
