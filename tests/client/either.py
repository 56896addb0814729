"""The sync and the async client behind one face, so that every test of one is a test of both."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
from captionbox import AsyncCaptionbox, Captionbox

Handler = Callable[[httpx.Request], httpx.Response]


@dataclass
class Either:
    """Calls a client of one kind, whose requests `handler` answers.

    Attributes:
        kind: `sync` or `async`.
        pauses: seconds that it slept.
        requests: what it sent.
    """

    kind: str
    pauses: list[float] = field(default_factory=list)
    requests: list[httpx.Request] = field(default_factory=list)

    def call(self, handler: Handler, method: str, *arguments: Any, **options: Any) -> Any:
        """Call a method of a fresh client with default settings."""
        return self.with_client(handler, {}, method, *arguments, **options)

    def with_client(
        self,
        handler: Handler,
        settings: dict[str, Any],
        method: str,
        *arguments: Any,
        **options: Any,
    ) -> Any:
        """Call a method of a fresh client."""

        def answer(request: httpx.Request) -> httpx.Response:
            self.requests.append(request)
            return handler(request)

        transport = httpx.MockTransport(answer)
        if self.kind == "sync":
            with Captionbox("http://server", transport=transport, **settings) as client:
                result = getattr(client, method)(*arguments, **options)
                return list(result) if method == "caption_many" else result

        async def run() -> Any:
            async with AsyncCaptionbox("http://server", transport=transport, **settings) as client:
                result = getattr(client, method)(*arguments, **options)
                if method == "caption_many":
                    return [outcome async for outcome in result]
                return await result

        return asyncio.run(run())


def json_answer(content: object, status: int = 200, **headers: str) -> httpx.Response:
    """Return a JSON response."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, json=content, headers=named)
