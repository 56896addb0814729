"""ASGI middleware that has every picture's request find a place before its body is read."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Protocol

from starlette.types import ASGIApp, Receive, Scope, Send

from serving.base import exchange as exchanges
from serving.base.exchange import Exchange
from serving.base.problems import Problem
from serving.http.problem_answers import render


class Places(Protocol):
    """Who may enter; the gateway decides."""

    def request(self, exchange: Exchange) -> AbstractContextManager[None]:
        """Hold a request's places while it runs.

        Raises:
            Problem: there is none for it.
        """


class AdmissionMiddleware:
    """Gives every request that may carry a picture its first place, before its body is read.

    These are the POST requests; the others cost next to nothing and are never refused.

    Args:
        app: the application inside.
        admission: returns where the places are; `None` before the service has started.
    """

    def __init__(self, app: ASGIApp, admission: Callable[[], Places | None]) -> None:
        self.app, self._admission = app, admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        admission, exchange = self._admission(), exchanges.current()
        if (
            scope["type"] != "http"
            or scope["method"] != "POST"
            or admission is None
            or exchange is None
        ):
            await self.app(scope, receive, send)
            return
        with ExitStack() as places:
            try:
                places.enter_context(admission.request(exchange))
            except Problem as problem:
                await render(problem, scope)(scope, receive, send)
                return
            await self.app(scope, receive, send)
