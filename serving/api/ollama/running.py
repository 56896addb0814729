"""`GET /` as Ollama answers it, for programs: that it is running. Browsers get the page."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Match, Route
from starlette.types import Scope

from serving.api.pages import SecurityHeadersMiddleware

_TEXT = "Ollama is running"


class _ForPrograms(Route):
    """A route for clients that do not ask for HTML."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether the route answers a request."""
        if scope["type"] == "http" and "text/html" in Headers(scope=scope).get("accept", ""):
            return Match.NONE, {}
        return super().matches(scope)


async def _running(_: Request) -> Response:
    return PlainTextResponse(
        _TEXT,
        # Nobody is to keep it for a browser.
        headers={"Cache-Control": "no-store", "Vary": "Accept"},
    )


def running_route() -> Route:
    """Return the route; it stands before the page's."""
    return _ForPrograms(
        "/",
        _running,
        methods=["GET", "HEAD"],
        middleware=[Middleware(SecurityHeadersMiddleware)],
    )
