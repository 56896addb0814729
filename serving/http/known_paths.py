"""ASGI middleware that answers 404 for addresses that no route has, before anything counts them.

BentoML's metrics have a label for the path of every request that reaches them: without this, anyone
who asks for random addresses makes the metrics grow without end.
"""

from __future__ import annotations

from typing import Any

from starlette.applications import Starlette
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from serving.base import exchange as exchanges
from serving.base.problems import Problem
from serving.http.problem_answers import render


class KnownPathsMiddleware:
    """Let a request through if some route has its path, whatever its method.

    Args:
        app: the application; its routes are asked.
    """

    def __init__(self, app: Starlette) -> None:
        self.app = app

    def __getattr__(self, name: str) -> Any:
        # The framework and its test client look at the application's own attributes.
        return getattr(self.app, name)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            if not self._is_known(scope):
                await render(Problem("not-found"), scope)(scope, receive, send)
                return
            exchange = exchanges.current()
            if exchange is not None:
                # No route has a parameter, so there are no more paths than routes.
                exchange.route = scope["path"]
        await self.app(scope, receive, send)

    def _is_known(self, scope: Scope) -> bool:
        return any(route.matches(scope)[0] is not Match.NONE for route in self.app.routes)
