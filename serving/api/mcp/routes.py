"""`POST /mcp`: the tools by MCP's streamable HTTP, without sessions, with answers in JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeAlias

from fastapi import Request, Response
from fastapi.routing import APIRoute

from serving.api.bodies import check_members
from serving.api.mcp.errors import PATH
from serving.base.settings import Settings
from serving.gateway.gateway import Gateway, gateway_of

_Answers: TypeAlias = Callable[[Request, bytes, Gateway], Awaitable[Response]]


def mcp_routes(_: Settings) -> Iterator[APIRoute]:
    """Yield the route. There are no streams to GET and no sessions to DELETE: both are 405."""
    yield APIRoute(PATH, _answer, methods=["POST"], include_in_schema=False)


async def _answer(request: Request) -> Response:
    gateway = gateway_of(request)
    # Here, where a body that is too large or too slow is refused as everywhere.
    body = await request.body()
    check_members(body)
    answered = await asyncio.to_thread(_package)
    return await answered(request, body, gateway)


def _package() -> _Answers:
    """Return what answers. The package takes 30 MB and a second, which is for who asks for it."""
    from serving.api.mcp.exchange import answered

    return answered
