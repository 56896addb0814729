"""One request and its answer, through the `mcp` package.

BentoML runs no lifespan of the application that it mounts, so there is none that sessions could
live in. They are not missed: a caption needs nothing of the one before it.
"""

from __future__ import annotations

from fastapi import Request, Response
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.datastructures import Headers
from starlette.types import Message, Receive

from serving.api.mcp.server import tool_server
from serving.base import exchange as exchanges
from serving.base import request_id
from serving.base.problems import Problem
from serving.gateway.gateway import Gateway


async def answered(request: Request, body: bytes, gateway: Gateway) -> Response:
    """Return the answer to a request.

    Args:
        request: that is answered.
        body: of the request.
        gateway: that does the work.

    Raises:
        Problem: the body is no message of the protocol.
    """
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
