"""ASGI middleware around the whole service: problem responses and request identities.

The framework answers errors in three shapes (an object, a list, plain text), some of them from
middlewares that lie outside ours. This one lies outside of everything: see
`serving.bento.framework.ProblemService`.
"""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.base import exchange as exchanges
from serving.base import request_id
from serving.base.problems import Problem
from serving.base.version import __version__
from serving.http.access import CLIENT_GONE
from serving.http.framework_errors import from_framework
from serving.http.problem_answers import MEDIA_TYPE, render

logger = logging.getLogger(__name__)

_KEPT_HEADERS = ("Allow", "Retry-After", "WWW-Authenticate")
_MAX_ERROR_BODY = 64 * 1024

VERSION_HEADER = "X-Captionbox-Version"


def sign(headers: MutableHeaders, scope: Scope) -> None:
    """Put the request's identity and our version on an answer's headers."""
    headers[request_id.HEADER] = request_id.of(scope)
    headers[VERSION_HEADER] = __version__


class ProblemMiddleware:
    """Turn every error answer into `application/problem+json`, and unhandled exceptions into 500.

    Every answer gets an `X-Request-ID` and our version in a header. Nothing of an exception, nor of
    an error text that the framework made, reaches the client.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    def __getattr__(self, name: str) -> Any:
        # The framework and its test client look at the application's own attributes.
        return getattr(self.app, name)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answer = _Answer(scope, receive, send)
        request_id.put(scope, request_id.assign(scope))
        try:
            await self.app(scope, receive, answer.send)
        except Problem as problem:
            await answer.refuse(problem)
        except ClientDisconnect:
            pass  # nobody is there to be answered; the access log tells of it
        except Exception:
            logger.exception(
                "unhandled error on %s %s, id %s",
                scope.get("method"),
                quote(scope.get("path", "")[:200]),
                request_id.of(scope),
            )
            await answer.refuse(Problem("internal-error"))


class _Answer:
    """The way back to the client; swaps the body of an error answer for problem details."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._started = self._lost = False
        self._error: Message | None = None
        self._body = bytearray()

    async def send(self, message: Message) -> None:
        """ASGI `send`."""
        if message["type"] == "http.response.start":
            status = message["status"]
            if status >= 400 and status != CLIENT_GONE and not _is_rendered(message):
                self._error = message
                return
            self._started = True
            sign(MutableHeaders(scope=message), self._scope)
        elif self._error is not None:
            if len(self._body) < _MAX_ERROR_BODY:
                self._body += message.get("body", b"")
            if not message.get("more_body"):
                await self.refuse(self._translate(self._error))
            return
        await self._put(message)

    async def _put(self, message: Message) -> None:
        """Send what the server still takes: it closes when, say, the rest of a body is malformed.

        The application learns nothing of it, for it would want to answer that.
        """
        if self._lost:
            return
        try:
            await self._send(message)
        except Exception as error:
            self._lost = True
            logger.info("an answer cannot be sent, id %s: %r", request_id.of(self._scope), error)

    async def refuse(self, problem: Problem) -> None:
        """Answer with `problem`, unless an answer is already on its way."""
        if self._started:
            return
        self._started = True
        response = render(problem, self._scope)
        sign(response.headers, self._scope)
        await response(self._scope, self._receive, self._put)

    def _translate(self, message: Message) -> Problem:
        headers = Headers(raw=message.get("headers", []))
        kept = {name: headers[name] for name in _KEPT_HEADERS if name in headers}
        status: int = message["status"]
        if status == 503 and self._scope["path"] == "/readyz":
            return Problem("not-ready", headers=kept)
        return from_framework(status, bytes(self._body), kept)


def _is_rendered(message: Message) -> bool:
    """Whether an error answer is a problem's already, in its face's shape."""
    exchange = exchanges.current()
    if exchange is not None and exchange.problem:
        return True
    content_type = Headers(raw=message.get("headers", [])).get("content-type", "")
    return content_type.startswith(MEDIA_TYPE)
