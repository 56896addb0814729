"""ASGI middleware that answers 504 when an application has not begun to answer in time.

In the place of BentoML's own, which keeps everything of a request in memory until its time limit
would have passed: at a hundred requests a second and a minute's limit, that is a hundred megabytes.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class TimeLimitMiddleware:
    """Cancel what has not begun to answer in time; an answer that has begun may take as it will.

    The time that the client takes to send its body is its own and does not count: see
    `serving.http.uploads`.

    Args:
        app: the application inside.
        timeout: seconds.
    """

    def __init__(self, app: ASGIApp, timeout: float) -> None:
        self.app, self.timeout = app, timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = asyncio.timeout(self.timeout)
        sending = True

        async def receive_in_own_time() -> Message:
            nonlocal sending
            until = limit.when()
            if not sending or until is None or limit.expired():
                return await receive()
            clock = asyncio.get_running_loop()
            began = clock.time()
            limit.reschedule(None)
            try:
                message = await receive()
            finally:
                limit.reschedule(until + clock.time() - began)
            sending = message["type"] == "http.request" and message.get("more_body", False)
            return message

        async def send_in_time(message: Message) -> None:
            if limit.expired():
                return  # the application's own word on being cancelled
            limit.reschedule(None)
            await send(message)

        try:
            async with limit:
                await self.app(scope, receive_in_own_time, send_in_time)
        except Exception:
            if not limit.expired():
                raise
        if limit.expired():
            content = {"error": f"Not able to process the request in {self.timeout} seconds"}
            answer = JSONResponse(content, HTTPStatus.GATEWAY_TIMEOUT)
            await answer(scope, receive, send)
