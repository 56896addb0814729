"""ASGI middleware that lets in only requests with an API key, where keys are configured.

It lies outside of BentoML's application, so it covers every route, BentoML's own included, and
refuses before a body is read or a place among the concurrent requests is taken. What needs a key
does not hang on whether an address exists.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from serving.base import exchange as exchanges
from serving.base import metrics
from serving.base.keys import KeyRing
from serving.base.problems import Problem

PROBES = frozenset({"/livez", "/readyz", "/healthz"})
"""Always open: orchestrators ask them and have no key."""

METRICS_PATH = "/metrics"

_HEADERS = {b"x-api-key"}
"""Headers whose whole value is a key."""


def take_keys_from(header: str) -> None:
    """Have keys be taken from a further header, in small letters: that of another interface."""
    _HEADERS.add(header.encode())


class AuthMiddleware:
    """Refuse requests without an accepted key with 401; everything is let in where no key is set.

    Args:
        app: the application inside. It never sees the key: the headers that may carry one are
            taken off the request.
        keys: the accepted keys.
        open_paths: exact paths that need no key.
    """

    def __init__(self, app: ASGIApp, keys: KeyRing, open_paths: Iterable[str]) -> None:
        self.app, self.keys, self.open_paths = app, keys, frozenset(open_paths)

    def __getattr__(self, name: str) -> Any:
        # The framework and its test client look at the application's own attributes.
        return getattr(self.app, name)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http" and self.keys:
            given = list(_given(scope))
            name = self.keys.name_of(given)
            if name is None and scope["path"] not in self.open_paths:
                raise _refusal(bool(given))
            scope["headers"] = [
                pair
                for pair in scope["headers"]
                if pair[0] != b"authorization" and pair[0] not in _HEADERS
            ]
            if name is not None:
                _note(name)
        await self.app(scope, receive, send)


def open_paths(public_paths: Iterable[str], metrics_open: bool) -> frozenset[str]:
    """Return the addresses that need no key: public ones, probes and, if so set, the metrics."""
    return frozenset(public_paths) | PROBES | ({METRICS_PATH} if metrics_open else set())


def _given(scope: Scope) -> Iterator[bytes]:
    """Yield what the request presents as keys."""
    for name, value in scope["headers"]:
        if name == b"authorization":
            scheme, _, token = value.partition(b" ")
            if scheme.lower() == b"bearer" and token.strip():
                yield token.strip()
        elif name in _HEADERS and value.strip():
            yield value.strip()


def _note(name: str) -> None:
    """Put the key's name where log and metrics find it."""
    metrics.requests_by_key().labels(name).inc()
    exchange = exchanges.current()
    if exchange is not None:
        exchange.key_name = name


def _refusal(presented: bool) -> Problem:
    if presented:
        return Problem(
            "unauthorized",
            "The API key is not one that is accepted here.",
            {"WWW-Authenticate": 'Bearer error="invalid_token"'},
        )
    return Problem(
        "unauthorized",
        "Send an API key, as `Authorization: Bearer KEY` or as `X-API-Key: KEY`.",
        {"WWW-Authenticate": "Bearer"},
    )
