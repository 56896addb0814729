"""ASGI middleware that refuses request bodies over the limit before they are held anywhere.

It also sees to it that whoever is refused while still sending gets to read why, and that large
bodies are read in turn, a piece of one at a time: however many come at once, other requests find
the event loop free, and the engine its cores.
"""

from __future__ import annotations

import asyncio
import contextlib
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.base.machine import available_cores
from serving.base.problems import Problem
from serving.http.problem_answers import render

_DRAIN_SECONDS = 5.0
_DRAIN_FACTOR = 4


LARGE_BYTES = 1024 * 1024
"""Bodies of more than this are large: they wait for one another, and not small ones for them."""

_RATE = 20 * 1024 * 1024
"""Bytes a second and core that are read of large bodies where several come at once: a core moves
about six times as many, and is to have time for the captions."""

_DRAIN_RATE = 8 * 1024 * 1024
"""Bytes a second that are read, and dropped, of all bodies that were refused."""


def announced_bytes(scope: Scope) -> int:
    """Return the size that a request says its body has; 0 where it does not say."""
    length = Headers(scope=scope).get("content-length", "")
    return int(length) if length.isdecimal() else 0


class Turns:
    """Lets the pieces of large bodies pass one at a time. One event loop.

    Args:
        rate: bytes a second where several wait.
    """

    def __init__(self, rate: float) -> None:
        self._turn, self._rate, self._waiting = asyncio.Lock(), rate, 0

    async def wait(self, size: int) -> None:
        """Wait for the turn of a piece of `size` bytes; whatever else is ready goes first."""
        self._waiting += 1
        try:
            async with self._turn:
                await asyncio.sleep(size / self._rate if self._waiting > 1 else 0)
        finally:
            self._waiting -= 1


class BodyLimitMiddleware:
    """Refuse a body that announces, or turns out to have, more than `max_bytes` bytes.

    An announced size (`Content-Length`) is refused at once. A chunked body is counted while it is
    read; whoever reads it gets a `Problem` from `receive`.

    Args:
        app: the application inside.
        max_bytes: largest body that is let through.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self.app, self.max_bytes = app, max_bytes
        self.turns, self.drain_turns = Turns(_RATE * available_cores()), Turns(_DRAIN_RATE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        announced = announced_bytes(scope)
        refusal = _Refusal(self, announced, receive, send)
        if announced > self.max_bytes:
            await render(refusal.problem(), scope)(scope, receive, refusal.send)
            return
        await self.app(scope, refusal.receive, refusal.send)


class _Refusal:
    """Counts a request's body and, when it is over, lets the client read the answer.

    A server that closes while the client is still sending makes the client's system throw the
    answer away, so a bounded rest of the body is read and dropped between answer and close.
    """

    def __init__(
        self, limit: BodyLimitMiddleware, announced: int, receive: Receive, send: Send
    ) -> None:
        self.max_bytes, self._receive, self._send = limit.max_bytes, receive, send
        self._announced = announced
        self._turns, self._drain_turns = limit.turns, limit.drain_turns
        self._refused = False
        self._counted = 0
        self._ended = False

    def problem(self) -> Problem:
        """Return the refusal."""
        limit = self.max_bytes / (1024 * 1024)
        return Problem("too-large", f"A request's body may have at most {limit:g} MiB.")

    async def receive(self) -> Message:
        """ASGI `receive`; raises the refusal once the body is over the limit."""
        message = await self._receive()
        self._ended = not message.get("more_body")
        if message["type"] == "http.request":
            size = len(message.get("body", b""))
            self._counted += size
            if max(self._announced, self._counted) > LARGE_BYTES:
                await self._turns.wait(size)
            if self._counted > self.max_bytes:
                raise self.problem()
        return message

    async def send(self, message: Message) -> None:
        """ASGI `send`; drains before the end of a refusal."""
        if message["type"] == "http.response.start":
            # There is nothing to be drained from a client that sends nothing.
            self._refused = (
                message["status"] >= 400 and message["status"] != HTTPStatus.REQUEST_TIMEOUT
            )
        last = message["type"] == "http.response.body" and not message.get("more_body")
        if not (self._refused and last) or self._ended:
            await self._send(message)
            return
        await self._send({**message, "more_body": True})
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._drain(), _DRAIN_SECONDS)
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _drain(self) -> None:
        dropped = 0
        while not self._ended and dropped < self.max_bytes * _DRAIN_FACTOR:
            message = await self._receive()
            size = len(message.get("body", b""))
            await self._drain_turns.wait(size)
            dropped += size
            self._ended = not message.get("more_body")
