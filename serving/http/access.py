"""ASGI middleware around everything: one log line and the request metrics for every answer."""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import quote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.base import metrics, request_id
from serving.base.exchange import Exchange
from serving.base.logs import FIELDS
from serving.http.auth import METRICS_PATH, PROBES
from serving.http.faces import face_of

logger = logging.getLogger(__name__)

CLIENT_GONE = 499
"""Status in log and metrics of a request whose client left before the answer; never sent."""

_UNLOGGED = PROBES | {METRICS_PATH}
"""Machines ask for these every few seconds."""

_OTHER = "other"

_METHODS = frozenset({"GET", "HEAD", "POST", "OPTIONS"})
"""Methods that routes have; a client may make up any other."""


class AccessMiddleware:
    """Makes the request's `Exchange`, and tells of it when it is over.

    Args:
        app: the application inside, which sets the request's identity.
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
        exchange = Exchange(method=scope["method"])
        status = CLIENT_GONE

        async def noting_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, exchange.listen(receive), noting_status)
        finally:
            exchange.close()
            _tell(exchange, scope, status)


def _tell(exchange: Exchange, scope: Scope, status: int) -> None:
    route = exchange.route or _OTHER
    face = face_of(exchange.route)
    method = exchange.method if exchange.method in _METHODS else _OTHER
    metrics.requests().labels(face, route, str(status), exchange.model).inc()
    metrics.request_duration_seconds().labels(face, method, route).observe(exchange.seconds)
    if exchange.route in _UNLOGGED:
        return
    ms = round(exchange.seconds * 1000, 1)
    path = exchange.route or quote(scope["path"][:200])
    # Behind a proxy whose word counts, the one it tells of: see the setting `proxies`.
    client, _port = scope.get("client") or ("", 0)
    fields: dict[str, Any] = {
        "id": request_id.of(scope),
        "method": exchange.method,
        "face": face,
        "route": path,
        "status": status,
        "problem": exchange.problem or None,
        "ms": ms,
        "model": exchange.model or None,
        "images": exchange.images,
        "bytes": exchange.body_bytes,
        "client": client or None,
        "key": exchange.key_name or None,
    }
    outcome = f"{status} {exchange.problem}".rstrip()
    words = [f"{exchange.method} {path} {outcome} in {ms} ms"]
    if client:
        words.append(f"from {client}")
    if exchange.model:
        words.append(f"{exchange.images} image{'s' * (exchange.images != 1)} by {exchange.model}")
    if exchange.key_name:
        words.append(f"key {exchange.key_name}")
    words.append(f"id {fields['id']}")
    logger.info(", ".join(words), extra={FIELDS: fields})
