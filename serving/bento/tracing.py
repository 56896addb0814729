"""What we add to the OpenTelemetry spans that BentoML makes: whose request it was, and its outcome.

BentoML's tracing settings say whether spans are made and where they go; see docs/operations.md. It
makes one for a request to the gateway and, below it, one for every call to the engine.

By itself it would record them also where they are not traced, and one more for every message of an
answer: a fifth of what the engine's event loop does for one client.
"""

from __future__ import annotations

from typing import Any, cast

from bentoml._internal.configuration.containers import BentoMLContainer
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, get_current_span
from starlette.applications import Starlette
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.base import exchange as exchanges
from serving.base import request_id

PREFIX = "captionbox."
"""Of our attributes: `request_id`, and where there are any `model`, `images`, `problem`."""


def trace_lightly(app: Starlette) -> None:
    """Have one of BentoML's applications record what is traced, one span a request; before it runs.

    What is traced stays as it is: the share of requests that the settings say, and those whose
    caller traces them.
    """
    for middleware in app.user_middleware:
        options: dict[str, Any] = middleware.kwargs
        if cast(Any, middleware.cls) is OpenTelemetryMiddleware:
            options["exclude_spans"] = ["receive", "send"]
            share = BentoMLContainer.tracing.sample_rate.get() or 0.0
            options["tracer_provider"].sampler = ParentBased(TraceIdRatioBased(share))


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
