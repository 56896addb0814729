"""ASGI middleware that bounds what bodies on their way in cost: memory of all, and time of each.

Bytes are admitted, not only pictures. They are counted as they come: whoever announces much and
sends nothing takes nothing from the others. An upload must keep a least rate, which is not the time
that captioning may take: an honest slow one ends well, a silent one ends soon.
"""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.base import metrics
from serving.base.problems import RETRY_AFTER_SECONDS, Problem
from serving.http.body_limit import LARGE_BYTES, announced_bytes
from serving.http.problem_answers import render

_SHARE_OF_SMALL = 8
"""Part of the memory that large bodies cannot take, so that small ones find room."""


class BodyMemory:
    """Counts the bytes of all bodies that requests in progress have sent. One event loop.

    Args:
        total: most bytes at a time.
    """

    def __init__(self, total: int) -> None:
        self._total, self._taken = total, 0

    def require(self, size: int, body: int) -> None:
        """See to it that there is room.

        Args:
            size: bytes that are to be held now.
            body: bytes of the whole body, as far as they are known.

        Raises:
            Problem: 429, there is none.
        """
        free = self._total - self._taken
        if body > LARGE_BYTES:
            free -= self._total // _SHARE_OF_SMALL
        if size > free:
            limit = self._total / (1024 * 1024)
            raise Problem(
                "too-many-requests",
                f"The bodies of all requests in progress may have {limit:g} MiB at once; "
                "try again later.",
                {"Retry-After": str(RETRY_AFTER_SECONDS)},
            )

    def take(self, size: int) -> None:
        """Count bytes that are held."""
        self._taken += size
        metrics.body_bytes().set(self._taken)

    def give_back(self, size: int) -> None:
        """Count bytes that are let go."""
        self.take(-size)


class UploadMiddleware:
    """Counts every body against the memory for all, and ends the uploads that stand still.

    Whoever reads a body gets a `Problem` from `receive`: 429 there is no room for it, 408 it comes
    too slowly.

    Args:
        app: the application inside.
        memory: bytes of all bodies at a time.
        least_rate: bytes a second that an upload must make on average.
        patience: seconds that it may be behind that rate, or stand still.
    """

    def __init__(self, app: ASGIApp, memory: int, least_rate: float, patience: float) -> None:
        self.app = app
        self._memory, self._rate, self._patience = BodyMemory(memory), least_rate, patience

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        announced = announced_bytes(scope)
        try:
            self._memory.require(announced, announced)
        except Problem as problem:
            await render(problem, scope)(scope, receive, send)
            return
        upload = _Upload(self._memory, announced, self._rate, self._patience, receive)
        try:
            await self.app(scope, upload.receive, send)
        finally:
            self._memory.give_back(upload.received)


class _Upload:
    """One body on its way in.

    Attributes:
        received: bytes that have come.
    """

    def __init__(
        self, memory: BodyMemory, announced: int, rate: float, patience: float, receive: Receive
    ) -> None:
        self._memory, self._announced, self._receive = memory, announced, receive
        self._rate, self._patience = rate, patience
        self._until = asyncio.get_running_loop().time() + patience
        self._ended = False
        self.received = 0

    async def receive(self) -> Message:
        """ASGI `receive`; raises the refusal."""
        if self._ended:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._until) as limit:
                message = await self._receive()
        except TimeoutError:
            if not limit.expired():
                raise
            self._ended = True
            raise self._too_slow() from None
        if message["type"] != "http.request":
            self._ended = True
            return message
        self._ended = not message.get("more_body")
        self._count(len(message.get("body", b"")))
        return message

    def _count(self, size: int) -> None:
        try:
            self._memory.require(size, max(self._announced, self.received + size))
        except Problem:
            self._memory.give_back(self.received)  # whoever has read so far lets go of it now
            self.received = 0
            raise
        self._memory.take(size)
        self.received += size
        # What came fast is no credit for standing still later.
        latest = asyncio.get_running_loop().time() + self._patience
        self._until = min(self._until + size / self._rate, latest)

    def _too_slow(self) -> Problem:
        return Problem(
            "upload-too-slow",
            f"The body came too slowly: {self.received:,} bytes, then less than "
            f"{self._rate / 1024:g} KiB/s for {self._patience:g} s.",
            {"Connection": "close"},
        )
