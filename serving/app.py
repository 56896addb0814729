"""Our own routes, as a Starlette application that BentoML mounts at `/`.

They are not `@bentoml.api` methods because the framework parses those itself: it fetches a URL that
is given in a file's place, ignores unknown fields, and answers 400 in its own shapes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from starlette.applications import Starlette
from starlette.formparsers import MultiPartParser
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from serving.api import model_cards
from serving.api.captions import caption_routes
from serving.api.docs_page import docs_routes
from serving.api.match import match_route
from serving.api.openai.chat import openai_route
from serving.api.openai.errors import PREFIX as OPENAI_PREFIX
from serving.api.openai.errors import openai_errors
from serving.api.openapi.document import document
from serving.api.pages import page_routes
from serving.base.problems import KINDS, TYPE_PREFIX, Problem
from serving.base.settings import Settings
from serving.gateway.gateway import gateway_of
from serving.http.access import CLIENT_GONE
from serving.http.problem_answers import describe, handle, shape_errors

Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]


def create_app(settings: Settings) -> Starlette:
    """Return the application. Its `state` is filled in when the service starts.

    `state.public_paths` are the addresses that need no key where keys are set.

    No route has a parameter: BentoML's metrics would count each value apart.
    """
    shape_errors(OPENAI_PREFIX, openai_errors)
    public = _public_routes(settings)
    # Bodies are bounded, and held in memory in the end: then no upload needs the disk.
    MultiPartParser.spool_max_size = settings.max_upload_bytes
    app = Starlette(
        routes=[
            *public,
            *caption_routes(),
            match_route(),
            openai_route(),
            Route("/v1/models", _models),
            *(Route(f"/v1/models/{name}", _model(name)) for name in settings.served_names),
        ],
        exception_handlers={Problem: handle, ClientDisconnect: _client_gone},
    )
    app.state.gateway = app.state.admission = None
    app.state.public_paths = [route.path for route in public]
    return app


async def _client_gone(_: Request, __: Exception) -> Response:
    return Response(status_code=CLIENT_GONE)


def _public_routes(settings: Settings) -> list[Route]:
    """Return the routes that need no key: the pages, which ask for one, and the documentation."""
    return [
        *page_routes(),
        *docs_routes(),
        Route("/docs.json", _json(document(settings))),
        *(Route(TYPE_PREFIX + slug, _json(describe(slug))) for slug in KINDS),
    ]


async def _models(request: Request) -> Response:
    return JSONResponse(model_cards.all_cards(gateway_of(request).models).model_dump())


def _model(name: str) -> Endpoint:
    async def model(request: Request) -> Response:
        return JSONResponse(model_cards.card(gateway_of(request).models, name).model_dump())

    return model


def _json(content: Any) -> Endpoint:
    async def fixed(_: Request) -> Response:
        return JSONResponse(content)

    return fixed
