"""Our own routes, as a Starlette application that BentoML mounts at `/`.

They are not `@bentoml.api` methods because the framework parses those itself: it fetches a URL that
is given in a file's place, ignores unknown fields, and answers 400 in its own shapes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, cast

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from serving import request_id
from serving.docs_page import docs_routes
from serving.forms import read_caption_form
from serving.gateway import Gateway
from serving.openapi import document
from serving.pages import page_routes
from serving.problems import KINDS, TYPE_PREFIX, Problem, describe, handle
from serving.settings import Settings

Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]


def create_app(settings: Settings) -> Starlette:
    """Return the application. Its `state.gateway` is set when the service starts.

    No route has a parameter: BentoML's metrics would count each value apart.
    """
    app = Starlette(
        routes=[
            *page_routes(),
            *docs_routes(),
            Route("/docs.json", _json(document(settings))),
            Route("/caption", _caption, methods=["POST"]),
            Route("/v1/models", _models),
            *(Route(f"/v1/models/{name}", _model(name)) for name in settings.model_names),
            *(Route(TYPE_PREFIX + slug, _json(describe(slug))) for slug in KINDS),
        ],
        exception_handlers={Problem: handle},
    )
    return app


def _gateway(request: Request) -> Gateway:
    gateway = getattr(request.app.state, "gateway", None)
    if gateway is None:
        raise Problem("not-ready")
    return cast(Gateway, gateway)


async def _caption(request: Request) -> Response:
    form = await read_caption_form(request)
    answer = await _gateway(request).caption(form, request_id.of(request.scope))
    return Response(answer.model_dump_json(exclude_none=True), media_type="application/json")


async def _models(request: Request) -> Response:
    return JSONResponse(_gateway(request).models.response().model_dump())


def _model(name: str) -> Endpoint:
    async def model(request: Request) -> Response:
        return JSONResponse(_gateway(request).models.describe(name).model_dump())

    return model


def _json(content: Any) -> Endpoint:
    async def fixed(_: Request) -> Response:
        return JSONResponse(content)

    return fixed
