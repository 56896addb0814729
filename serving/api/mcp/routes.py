"""`POST /mcp`: the tools by MCP's streamable HTTP, without sessions, with answers in JSON.

BentoML runs no lifespan of the application that it mounts, so there is none that sessions could
live in. They are not missed: a caption needs nothing of the one before it.
"""

from __future__ import annotations

from collections.abc import Iterator

from fastapi import Request, Response
from fastapi.routing import APIRoute
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.datastructures import Headers
from starlette.types import Message, Receive

from serving.api.bodies import check_members
from serving.api.mcp.errors import PATH
from serving.api.mcp.server import tool_server
from serving.base import exchange as exchanges
from serving.base import request_id
from serving.base.problems import Problem
from serving.base.settings import Settings
from serving.gateway.gateway import gateway_of


def mcp_routes(_: Settings) -> Iterator[APIRoute]:
    """Yield the route. There are no streams to GET and no sessions to DELETE: both are 405."""
    yield APIRoute(PATH, _answer, methods=["POST"], include_in_schema=False)


async def _answer(request: Request) -> Response:
    gateway = gateway_of(request)
    # Here, where a body that is too large or too slow is refused as everywhere.
    body = await request.body()
    check_members(body)
    manager = StreamableHTTPSessionManager(
        tool_server(gateway, request_id.of(request.scope)),
        json_response=True,
        stateless=True,
        max_request_body_size=max(1, len(body)),
    )
    answer = _Answer()
    async with manager.run():
        await manager.handle_request(request.scope, _Again(body, request.receive), answer.send)
    return answer.response()


_JSON = "application/json"


class _Again:
    """A body that has been read, as ASGI's `receive` has it; after it comes what comes."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


class _Answer:
    """What the package's server answers."""

    def __init__(self) -> None:
        self._status = 200
        self._headers: dict[str, str] = {}
        self._body = bytearray()

    async def send(self, message: Message) -> None:
        """ASGI `send`."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            headers = Headers(raw=message["headers"])
            self._headers = {name: headers[name] for name in headers if name != "content-length"}
        elif message["type"] == "http.response.body":
            self._body += message.get("body", b"")

    def response(self) -> Response:
        """Return it.

        Raises:
            Problem: it is no message of the protocol, such as the text of a check before it.
        """
        if self._status >= 400:
            if not self._headers.get("content-type", "").startswith(_JSON):
                raise Problem(
                    "malformed-request", "Send a message of JSON-RPC as application/json."
                )
            exchange = exchanges.current()
            if exchange is not None:
                # It has its shape already.
                exchange.problem = "malformed-request"
            self._headers["cache-control"] = "no-store"
        return Response(bytes(self._body), self._status, self._headers)
