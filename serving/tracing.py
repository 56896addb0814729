"""What we add to the OpenTelemetry spans that BentoML makes: whose request it was, and its outcome.

BentoML's tracing settings say whether spans are made and where they go; see docs/operations.md. It
makes one for a request to the gateway and, below it, one for every call to the engine.
"""

from __future__ import annotations

from opentelemetry.trace import Span, get_current_span
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving import exchange as exchanges
from serving import request_id

PREFIX = "captionbox."
"""Of our attributes: `request_id`, and where there are any `model`, `images`, `problem`."""


class TraceMiddleware:
    """Describes the request in its span. Goes right inside BentoML's own middleware.

    Args:
        app: the application inside.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        span = get_current_span()
        if scope["type"] != "http" or not span.get_span_context().trace_flags.sampled:
            await self.app(scope, receive, send)
            return
        span.set_attribute(PREFIX + "request_id", request_id.of(scope))

        async def describing(message: Message) -> None:
            # Not later: the span ends with the last part of the answer.
            if message["type"] == "http.response.start":
                _describe(span)
            await send(message)

        await self.app(scope, receive, describing)


def _describe(span: Span) -> None:
    exchange = exchanges.current()
    if exchange is None:
        return
    if exchange.images:
        span.set_attribute(PREFIX + "model", exchange.model)
        span.set_attribute(PREFIX + "images", exchange.images)
    if exchange.problem:
        span.set_attribute(PREFIX + "problem", exchange.problem)
