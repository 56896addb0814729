"""ASGI middleware that lets web pages of other origins use the API (CORS), where that is set.

It lies outside of everything that answers: a preflight never carries a key, and a page reads an
error only where the error has the headers, too.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.base import request_id
from serving.base.problems import Problem
from serving.http.problem_answers import render
from serving.http.problem_middleware import VERSION_HEADER, sign

EXPOSED_HEADERS = (request_id.HEADER, "Retry-After", VERSION_HEADER)
"""What a page may read of an answer's headers beside what browsers let it read anyway."""

_METHODS = ("GET", "HEAD", "POST")
_MAX_AGE = 600


class CorsMiddleware(CORSMiddleware):
    """Answer preflights, and put the headers on every answer.

    No credentials are allowed: keys come in headers, which a page must know to send them.

    Args:
        app: the application inside.
        origins: that are let in; `*` lets in all.
    """

    def __init__(self, app: ASGIApp, origins: Collection[str]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=_METHODS,
            allow_headers=("*",),
            # Of a public page to a server in a private network, which the owner has just allowed.
            allow_private_network=True,
            expose_headers=EXPOSED_HEADERS,
            max_age=_MAX_AGE,
        )

    def __getattr__(self, name: str) -> Any:
        # The framework and its test client look at the application's own attributes.
        return getattr(self.app, name)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or not _is_preflight(scope):
            await super().__call__(scope, receive, send)
            return
        request_id.put(scope, request_id.assign(scope))
        response = self.preflight_response(Headers(scope=scope))
        if response.status_code >= 400:
            # Without the headers that would let the browser go on.
            detail = f"{bytes(response.body).decode()}: not let in from other origins here."
            response = render(Problem("forbidden", detail), scope)
            response.headers["Vary"] = "Origin"
        sign(response.headers, scope)
        await response(scope, receive, send)


def _is_preflight(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    return (
        scope["method"] == "OPTIONS"
        and "origin" in headers
        and "access-control-request-method" in headers
    )
