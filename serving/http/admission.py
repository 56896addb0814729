"""ASGI middleware that has every picture's request find a place, once its body is there."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.base import exchange as exchanges
from serving.base.exchange import Exchange
from serving.base.problems import Problem
from serving.http.problem_answers import render


class Places(Protocol):
    """Who may enter; the gateway decides."""

    def request(self, exchange: Exchange) -> AbstractContextManager[None]:
        """Give a request's places back when it is over."""

    def require_room(self, exchange: Exchange) -> None:
        """See to it that there is a place for a request, without taking it.

        Raises:
            Problem: there is none for it.
        """

    def reserve(self, exchange: Exchange, images: int) -> None:
        """Take places for a request's pictures.

        Raises:
            Problem: there are none for it.
        """


class AdmissionMiddleware:
    """Gives every request that may carry a picture its first place, once its body is there.

    These are the POST requests; the others cost next to nothing and are never refused. Where there
    is no place, none needs to be sent a body for: it is refused at once. Whoever is still sending
    holds none, however long that takes.

    Args:
        app: the application inside.
        admission: returns where the places are; `None` before the service has started.
    """

    def __init__(self, app: ASGIApp, admission: Callable[[], Places | None]) -> None:
        self.app, self._admission = app, admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        places, exchange = self._admission(), exchanges.current()
        if (
            scope["type"] != "http"
            or scope["method"] != "POST"
            or places is None
            or exchange is None
        ):
            await self.app(scope, receive, send)
            return
        try:
            places.require_room(exchange)
        except Problem as problem:
            await render(problem, scope)(scope, receive, send)
            return

        async def entering() -> Message:
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body"):
                places.reserve(exchange, 1)
            return message

        with places.request(exchange):
            await self.app(scope, entering, send)
