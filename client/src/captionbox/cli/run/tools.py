"""The server's tools, handed on to an agent over standard input and output.

What tools there are, and what they do, is the server's to say. Added here is what only this side
can give: pictures by their paths.
"""

from __future__ import annotations

import asyncio
import base64
import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INTERNAL_ERROR,
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
)

from captionbox.async_client import AsyncCaptionbox
from captionbox.cli.output.endings import sentence
from captionbox.errors import CaptionboxError, ImageInputError
from captionbox.images import Upload, is_url, load
from captionbox.version import __version__

_PATH = {
    "type": "string",
    "description": "The picture's path on this machine; instead of `url` or `data`.",
}
_UNKNOWN = "application/octet-stream"


async def serve(client: AsyncCaptionbox) -> None:
    """Serve until standard input ends.

    Args:
        client: asks the server; closed at the end.
    """
    async with client, stdio_server() as (incoming, outgoing):
        server = tool_bridge(client)
        await server.run(incoming, outgoing, server.create_initialization_options())


def tool_bridge(client: AsyncCaptionbox) -> Server[Any]:
    """Return a server of the tools that `client`'s server has, which take paths as well."""

    async def list_tools(_: Any, __: PaginatedRequestParams | None) -> ListToolsResult:
        try:
            told = await _asked(client, "tools/list", {})
        except CaptionboxError as error:
            raise MCPError(INTERNAL_ERROR, sentence(error)) from error
        listed = copy.deepcopy(dict(told))
        for tool in listed.get("tools", []):
            tool["inputSchema"].setdefault("properties", {})["path"] = _PATH
        return ListToolsResult.model_validate(listed)

    async def call_tool(_: Any, params: CallToolRequestParams) -> CallToolResult:
        try:
            arguments = await asyncio.to_thread(_with_picture, params.arguments or {})
            asked = {"name": params.name, "arguments": arguments}
            told = await _asked(client, "tools/call", asked)
        except CaptionboxError as error:
            text = TextContent(type="text", text=sentence(error))
            return CallToolResult(content=[text], is_error=True)
        return CallToolResult.model_validate(dict(told))

    return Server(
        "captionbox", version=__version__, on_list_tools=list_tools, on_call_tool=call_tool
    )


async def _asked(
    client: AsyncCaptionbox, method: str, params: Mapping[str, object]
) -> Mapping[str, Any]:
    message = await client.ask_tools(method, params)
    if "error" in message:
        error = message["error"]
        raise MCPError(int(error.get("code", INTERNAL_ERROR)), str(error.get("message", "")))
    result: Mapping[str, Any] = message["result"]
    return result


def _with_picture(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return a tool's arguments with the picture itself in the place of its path.

    Raises:
        ImageInputError: it cannot be read; or it is no picture, which an agent has no business with
            here.
    """
    given = dict(arguments)
    path = given.pop("path", None)
    if path is None:
        return given
    if not isinstance(path, str) or not path.strip() or is_url(path):
        raise ImageInputError("path is a file's on this machine; addresses are given as url")
    if {"url", "data"} & given.keys():
        raise ImageInputError("give the picture as path, as url or as data, not as several")
    image = load(Path(path))
    if not isinstance(image, Upload) or image.media_type == _UNKNOWN:
        raise ImageInputError(f"{path} is not a picture")
    return {**given, "data": base64.b64encode(image.content).decode()}
