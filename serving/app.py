"""Our own routes, as a Starlette application that BentoML mounts at `/`.

They are not `@bentoml.api` methods because the framework parses those itself: it fetches a URL that
is given in a file's place, ignores unknown fields, and answers 400 in its own shapes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias, cast

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from serving import request_id
from serving.forms import read_caption_form
from serving.framework import SWAGGER_UI
from serving.gateway import Gateway
from serving.openapi import document
from serving.problems import KINDS, TYPE_PREFIX, Problem, describe, handle
from serving.settings import Settings

Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]

WEB = Path(__file__).resolve().parent.parent / "web"

_MEDIA_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
}
"""Files of `web/` that are served; others stay where they are."""

_FILE_HEADERS = {
    # The pages load nothing from anywhere else; have the browser enforce it.
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:; "
    "media-src 'self' blob:; style-src 'self' 'unsafe-inline'; object-src 'none'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # Ask each time whether it has changed: a new version is seen at once.
    "Cache-Control": "no-cache",
}


def create_app(settings: Settings) -> Starlette:
    """Return the application. Its `state.gateway` is set when the service starts.

    No route has a parameter: BentoML's metrics would count each value apart.
    """
    app = Starlette(
        routes=[
            *(Route(path, _file(file)) for path, file in _static_files().items()),
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


def _static_files() -> dict[str, Path]:
    """Return the files of the pages by their addresses."""
    files = {
        f"/{path.relative_to(WEB).as_posix()}": path
        for path in sorted(WEB.rglob("*"))
        if path.suffix in _MEDIA_TYPES
    }
    for page in ("index", "docs"):
        files["/" if page == "index" else f"/{page}"] = files.pop(f"/{page}.html")
    files["/docs/swagger-ui.css"] = SWAGGER_UI / "swagger-ui.css"
    files["/docs/swagger-ui.js"] = SWAGGER_UI / "swagger-ui-bundle.js"
    return files


def _file(path: Path) -> Endpoint:
    async def file(_: Request) -> Response:
        return FileResponse(path, headers=_FILE_HEADERS, media_type=_MEDIA_TYPES[path.suffix])

    return file
