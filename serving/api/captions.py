"""The routes that caption pictures: uploaded, fetched from a URL, and several at once."""

from __future__ import annotations

import time
from collections.abc import Iterator

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from models.api.options import CaptionOptions
from serving.api.forms import read_batch_form, read_caption_form
from serving.api.json_body import read_json
from serving.base import request_id
from serving.base.problems import Problem
from serving.contract.requests import CaptionForm
from serving.contract.schemas import BatchFailure, BatchResponse, CaptionUrlInput
from serving.gateway.gateway import gateway_of
from serving.http.problem_answers import account


def caption_routes() -> Iterator[Route]:
    """Yield the routes."""
    yield Route("/caption", _caption, methods=["POST"])
    yield Route("/caption_url", _caption_url, methods=["POST"])
    yield Route("/caption_batch", _caption_batch, methods=["POST"])


async def _caption(request: Request) -> Response:
    form = await read_caption_form(request)
    return _json(await gateway_of(request).caption(form, request_id.of(request.scope)))


async def _caption_url(request: Request) -> Response:
    asked = await read_json(request, CaptionUrlInput)
    gateway = gateway_of(request)
    options = CaptionOptions(**asked.model_dump(include=set(CaptionOptions.model_fields)))
    model = gateway.models.choose(asked.model, options)  # what cannot be honoured costs no fetch
    started = time.monotonic()
    image = await gateway.fetch(asked.url, model)
    fetched = time.monotonic()
    form = CaptionForm(image, options, asked.model, asked.id)
    answer = await gateway.caption(form, request_id.of(request.scope))
    answer.timing_ms.fetch = round((fetched - started) * 1000, 3)
    return _json(answer)


async def _caption_batch(request: Request) -> Response:
    form = await read_batch_form(request)
    answers = await gateway_of(request).caption_batch(form, request_id.of(request.scope))
    results = [
        BatchFailure(error=account(answer, request.scope))
        if isinstance(answer, Problem)
        else answer
        for answer in answers
    ]
    return _json(BatchResponse(results=results))


def _json(answer: BaseModel) -> Response:
    return Response(answer.model_dump_json(exclude_none=True), media_type="application/json")
