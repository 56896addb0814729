"""`captionbox mcp`, as an agent starts it: the server's tools, and paths of this machine."""

from __future__ import annotations

import asyncio
import base64
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from captionbox.async_client import AsyncCaptionbox
from captionbox.cli.run.tools import tool_bridge
from mcp import Client, MCPError, StdioServerParameters

from tests.asking import PICTURE
from tests.client.conftest import SOURCE, Captionbox
from tests.client.stand_in import StandIn
from tests.drawings import caption_of
from tests.locked import ANNA, STRANGER
from tests.server import Server

RING = caption_of("red ring")


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "ring.png"
    path.write_bytes(PICTURE)
    return path


def text_of(result: Any) -> str:
    (content,) = result.content
    return str(content.text)


def bridged(base_url: str, tool: str, arguments: Mapping[str, Any], key: str | None = None) -> Any:
    async def ask() -> Any:
        async with (
            AsyncCaptionbox(base_url, api_key=key, max_retries=0) as asks,
            Client(tool_bridge(asks)) as client,
        ):
            try:
                if not tool:
                    return (await client.list_tools()).tools
                return await client.call_tool(tool, dict(arguments))
            except MCPError as error:  # which the client would put into groups of errors
                return error

    return asyncio.run(ask())


def test_as_an_agent_starts_it(server: Server, picture: Path) -> None:
    command = StdioServerParameters(
        command=sys.executable,
        args=["-m", "captionbox", "mcp", "--base-url", server.url],
        env={"PYTHONPATH": str(SOURCE)},
    )

    async def ask() -> tuple[Any, Any]:
        async with Client(command) as client:
            tools = (await client.list_tools()).tools
            return tools, await client.call_tool("describe_image", {"path": str(picture)})

    tools, result = asyncio.run(ask())
    assert {tool.name for tool in tools} == {"describe_image", "alt_text"}
    assert all("path" in tool.input_schema["properties"] for tool in tools)
    assert text_of(result) == RING and result.structured_content["caption"] == RING


def test_pictures_in_other_ways(server: Server) -> None:
    data = base64.b64encode(PICTURE).decode()
    assert text_of(bridged(server.url, "alt_text", {"data": data})) == RING
    # Addresses are the server's to fetch, or to refuse.
    refused = bridged(server.url, "alt_text", {"url": "http://127.0.0.1/x.png"})
    assert refused.is_error and "URL" in text_of(refused)
    error = bridged(server.url, "nothing", {})
    assert isinstance(error, MCPError) and "describe_image" in error.message


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("missing.png", "missing.png"),
        ("notes.txt", "not a picture"),
        ("", "path is a file's"),
        ("https://x.example/y.png", "given as url"),
        (5, "path is a file's"),
    ],
)
def test_what_is_no_picture_stays_here(
    stand_in: StandIn, tmp_path: Path, path: Any, words: str
) -> None:
    (tmp_path / "notes.txt").write_text("secret")
    if isinstance(path, str) and path.endswith((".png", ".txt")) and "/" not in path:
        path = str(tmp_path / path)
    result = bridged(stand_in.url, "describe_image", {"path": path})
    assert result.is_error and words in text_of(result)
    assert not stand_in.paths


def test_one_picture_a_call(stand_in: StandIn, picture: Path) -> None:
    both = {"path": str(picture), "url": "https://x.example/y.png"}
    result = bridged(stand_in.url, "describe_image", both)
    assert result.is_error and "not as several" in text_of(result)


def test_keys(locked_server: Server, picture: Path) -> None:
    asked = {"path": str(picture)}
    assert text_of(bridged(locked_server.url, "describe_image", asked, ANNA)) == RING
    refused = bridged(locked_server.url, "describe_image", asked, STRANGER)
    assert refused.is_error and "CAPTIONBOX_API_KEY" in text_of(refused)
    error = bridged(locked_server.url, "", {}, STRANGER)
    assert isinstance(error, MCPError) and "CAPTIONBOX_API_KEY" in error.message


def test_no_server(picture: Path) -> None:
    result = bridged("http://127.0.0.1:9", "describe_image", {"path": str(picture)})
    assert result.is_error and "127.0.0.1:9" in text_of(result)


def test_without_the_package(captionbox: Captionbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("captionbox.cli.commands.mcp.find_spec", lambda _: None)
    done = captionbox("mcp", code=2)
    assert b"pip install 'captionbox[mcp]'" in done.stderr
