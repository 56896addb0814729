"""Our own routes, as a FastAPI application that BentoML mounts at `/`.

They are not `@bentoml.api` methods because the framework parses those itself: it fetches a URL that
is given in a file's place, ignores unknown fields, and answers 400 in its own shapes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cache, partial
from itertools import chain
from typing import Any, TypeAlias

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.formparsers import MultiPartParser
from starlette.requests import ClientDisconnect
from starlette.routing import Route

from serving.api import azure, mcp, ollama, openai, photoprism
from serving.api.captions import caption_routes
from serving.api.document import document
from serving.api.match import match_route
from serving.api.models import model_routes, model_template
from serving.api.ollama.running import running_route
from serving.api.pages import docs_routes, page_routes
from serving.base.problems import KINDS, TYPE_PREFIX, Problem
from serving.base.settings import Settings
from serving.http.access import CLIENT_GONE
from serving.http.problem_answers import describe, handle

Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]


FACES = (openai.FACE, ollama.FACE, photoprism.FACE, mcp.FACE, azure.FACE)
"""The interfaces of other software that are spoken beside our own."""


def create_app(settings: Settings) -> FastAPI:
    """Return the application. Its `state` is filled in when the service starts.

    `state.public_paths` are the addresses that need no key where keys are set.

    No route has a parameter: BentoML's metrics would count each value apart.
    """
    for face in FACES:
        face.register()
    operations = _operations(settings)

    @cache
    def described() -> dict[str, Any]:
        return document(settings, [*operations, model_template(settings)])

    public = _public_routes(described)
    # Bodies are bounded, and held in memory in the end: then no upload needs the disk.
    MultiPartParser.spool_max_size = settings.max_upload_bytes
    app = FastAPI(
        # Those that are asked most come first: routes are looked through in their order.
        routes=[*operations, *public],
        exception_handlers={Problem: handle, ClientDisconnect: _client_gone},
        # The document and the page that shows it are routes of our own: FastAPI's page would load
        # its scripts from elsewhere.
        openapi_url=None,
        # BentoML makes the spans.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.openapi = described  # type: ignore[method-assign]
    app.state.gateway = app.state.admission = None
    app.state.public_paths = [route.path for route in public]
    return app


async def _client_gone(_: Request, __: Exception) -> Response:
    return Response(status_code=CLIENT_GONE)


def _operations(settings: Settings) -> list[APIRoute]:
    """Return our own interface's routes, and those of every other face."""
    return [
        *caption_routes(settings),
        match_route(settings),
        *chain.from_iterable(face.routes(settings) for face in FACES),
        *model_routes(settings),
    ]


def _public_routes(described: Callable[[], dict[str, Any]]) -> list[Route]:
    """Return the routes that need no key: the pages, which ask for one, and the documentation."""
    return [
        running_route(),
        *page_routes(),
        *docs_routes(),
        Route("/docs.json", _json(described)),
        *(Route(TYPE_PREFIX + slug, _json(partial(describe, slug))) for slug in KINDS),
    ]


def _json(content: Callable[[], Any]) -> Endpoint:
    async def fixed(_: Request) -> Response:
        return JSONResponse(content())

    return fixed
