"""The web page and Swagger UI: each file at its own address, with headers that keep them safe."""

from __future__ import annotations

import mimetypes
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

WEB = Path(__file__).resolve().parents[2] / "web"

# Only the distribution's files are used: its code, which is for FastAPI, is never imported.
SWAGGER_UI = Path(str(distribution("fastapi-offline").locate_file("fastapi_offline/static")))
"""Swagger UI's own distribution, unchanged, as a package from PyPI carries it."""

_MEDIA_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".jpg": "image/jpeg",
    ".js": "text/javascript",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}
"""Files of `web/` that are served; others stay where they are."""

# What a file is said to be must not hang on the machine's own tables.
for _ending, _type in _MEDIA_TYPES.items():
    mimetypes.add_type(_type, _ending)

_NOT_PAGES = {"index.html", "docs.html"}
"""Files of `web/` that are served at other addresses than their names."""

_SELF_ONLY = {
    "default-src": "'self'",
    "script-src": "'self'",
    "style-src": "'self'",
    # Pictures that have not left the browser, and Swagger UI's icons.
    "img-src": "'self' blob: data:",
    "object-src": "'none'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}

SECURITY_HEADERS = {
    # The pages load nothing from anywhere else and run no script but their own files; the browser
    # is told to hold them to it.
    "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in _SELF_ONLY.items()),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=(), payment=(), usb=()",
}


class SecurityHeadersMiddleware:
    """Put the security headers on every answer; have browsers ask whether a file has changed.

    Args:
        app: the application inside.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(SECURITY_HEADERS)
                # An ETag makes the answer a 304 of a few bytes, and an update is seen at once.
                headers.setdefault("Cache-Control", "no-cache")
            await send(message)

        await self.app(scope, receive, send_with_headers)


_MIDDLEWARE = (
    Middleware(SecurityHeadersMiddleware),
    Middleware(GZipMiddleware, minimum_size=256),
)


def file_route(address: str, directory: Path, name: str) -> Route:
    """Return the route that serves the file `name` of `directory` at `address`.

    Answers conditional requests with 304 and compresses what a browser can take compressed.
    """
    files = StaticFiles(directory=directory)

    async def serve(request: Request) -> Response:
        return await files.get_response(name, request.scope)

    return Route(address, serve, middleware=_MIDDLEWARE)


def page_routes() -> Iterator[Route]:
    """Yield the web page's routes: `/` and, by its name, each file the page is made of.

    One exact route a file: BentoML's metrics would count every path under a mounted folder apart.
    """
    yield file_route("/", WEB, "index.html")
    for path in sorted(WEB.rglob("*")):
        name = path.relative_to(WEB).as_posix()
        if path.suffix in _MEDIA_TYPES and name not in _NOT_PAGES:
            yield file_route(f"/{name}", WEB, name)


def docs_routes() -> Iterator[Route]:
    """Yield the routes of Swagger UI, which shows our own OpenAPI document."""
    yield file_route("/docs", WEB, "docs.html")
    yield file_route("/docs/swagger-ui.css", SWAGGER_UI, "swagger-ui.css")
    yield file_route("/docs/swagger-ui.js", SWAGGER_UI, "swagger-ui-bundle.js")
