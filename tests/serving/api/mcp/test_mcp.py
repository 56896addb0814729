"""`/mcp` with the `mcp` package's own client: tools, faults, keys; and on the wire."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import httpx
import httpx2
import pytest
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

from tests.asking import PICTURE
from tests.drawings import NAMES, caption_of, draw, encode
from tests.faults import SLOW, SLOW_SECONDS
from tests.locked import ANNA, STRANGER, bearer
from tests.server import Server
from tests.serving.api.ollama.test_ollama import plain

RING = caption_of("red ring")
DATA = base64.b64encode(PICTURE).decode()
MODES: Any = pytest.mark.parametrize("mode", ["auto", "legacy"])


@asynccontextmanager
async def client_of(server: Server, mode: Any = "auto", **headers: str) -> AsyncIterator[Client]:
    async with httpx2.AsyncClient(headers=headers, timeout=30) as http:
        transport = streamable_http_client(f"{server.url}/mcp", http_client=http)
        async with Client(transport, mode=mode) as client:
            yield client


def call(server: Server, tool: str, mode: Any = "auto", **arguments: Any) -> Any:
    async def ask() -> Any:
        async with client_of(server, mode) as client:
            try:
                return await client.call_tool(tool, arguments)
            except MCPError as error:  # which the client would put into groups of errors
                return error

    return asyncio.run(ask())


def text_of(result: Any) -> str:
    (content,) = result.content
    return str(content.text)


@MODES
def test_tools_are_listed(server: Server, mode: Any) -> None:
    async def ask() -> Any:
        async with client_of(server, mode) as client:
            return (await client.list_tools()).tools

    tools = {tool.name: tool for tool in asyncio.run(ask())}
    assert set(tools) == {"describe_image", "alt_text"}
    for tool in tools.values():
        assert tool.description and {"url", "data"} <= tool.input_schema["properties"].keys()
        assert "path" not in tool.input_schema["properties"]
        assert tool.annotations and tool.annotations.read_only_hint


@MODES
def test_a_picture_is_described(server: Server, mode: Any) -> None:
    result = call(server, "describe_image", mode, data=DATA)
    assert (text_of(result), result.is_error) == (RING, False)
    facts = result.structured_content
    assert facts["caption"] == RING and facts["things"] == ["ring", "paper"]
    assert facts["model"] == "compact" and 0 < facts["confidence"] <= 1


@pytest.mark.parametrize(
    "more", [{"length": "short"}, {"length": "long"}, {"prompt": "What is it?"}], ids=str
)
def test_orders(server: Server, more: dict[str, Any]) -> None:
    result = call(server, "describe_image", data=f"data:image/png;base64,{DATA}", **more)
    assert not result.is_error and "ring" in text_of(result)


def test_alternative_texts(server: Server) -> None:
    result = call(server, "alt_text", data=DATA)
    assert result.structured_content == {"alt_text": RING, "cut": False}
    long = encode(draw(max(NAMES, key=lambda name: len(caption_of(name)))))
    short = call(server, "alt_text", data=base64.b64encode(long).decode(), max_chars=20)
    assert 0 < len(text_of(short)) <= 20


def test_matching(matching_server: Server) -> None:
    result = call(matching_server, "match", data=DATA, texts=["a ring", "a cat", "a red ring"])
    rows = result.structured_content["matches"]
    assert sorted(row["text"] for row in rows) == ["a cat", "a red ring", "a ring"]
    assert [row["score"] for row in rows] == sorted((row["score"] for row in rows), reverse=True)


@pytest.mark.parametrize(
    ("tool", "arguments", "words"),
    [
        ("describe_image", {}, "either as `data` or as `url`"),
        ("describe_image", {"data": DATA, "url": "https://x.example/y.png"}, "either as `data`"),
        ("describe_image", {"data": "%%"}, "base64"),
        ("describe_image", {"data": base64.b64encode(b"%PDF-1.4").decode()}, "PDF"),
        ("describe_image", {"data": DATA, "length": "huge"}, "length"),
        ("describe_image", {"path": "/etc/passwd"}, "path"),
        ("alt_text", {"data": DATA, "max_chars": 5}, "max_chars"),
        # The guard of addresses holds.
        ("describe_image", {"url": "http://127.0.0.1/x.png"}, "URL"),
        ("describe_image", {"url": "file:///etc/passwd"}, "URL"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_faults_are_told_to_the_agent(
    server: Server, tool: str, arguments: dict[str, Any], words: str
) -> None:
    result = call(server, tool, **arguments)
    assert result.is_error and words in text_of(result)


def test_an_unknown_tool(server: Server) -> None:
    error = call(server, "match", data=DATA, texts=["x"])  # there is no matcher
    assert isinstance(error, MCPError) and "describe_image" in error.message


def test_keys(locked_server: Server) -> None:
    async def ask(key: str) -> Any:
        async with client_of(locked_server, **bearer(key)) as client:
            return await client.call_tool("describe_image", {"data": DATA})

    assert text_of(asyncio.run(ask(ANNA))) == RING
    with pytest.raises(Exception):  # noqa: B017
        asyncio.run(ask(STRANGER))


# --- on the wire ---------------------------------------------------------------------------------


def message(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}


def test_a_plain_post_without_a_handshake(client: httpx.Client) -> None:
    asked = message("tools/call", name="describe_image", arguments={"data": DATA})
    answer = client.post("/mcp", json=asked)
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["id"] == 7
    assert answer.json()["result"]["content"] == [{"type": "text", "text": RING}]
    note = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    assert client.post("/mcp", json=note).status_code == 202


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{", {}, 400),
        (b"[]", {}, 400),
        (b'{"jsonrpc": "2.0"}', {}, 400),
        (b"{}", {"Accept": "text/html"}, 406),
        (b"{}", {"Content-Type": "text/plain"}, 400),
        (b"", {}, 400),
    ],
)
def test_what_is_no_message(
    client: httpx.Client, body: bytes, headers: dict[str, str], status: int
) -> None:
    headers = {"Content-Type": "application/json", **headers}
    answer = client.post("/mcp", content=body, headers=headers)
    assert answer.status_code == status or answer.status_code in (400, 415)
    check(answer)


def check(answer: httpx.Response) -> None:
    assert answer.headers["content-type"] == "application/json", answer.text
    assert answer.headers["cache-control"] == "no-store"
    told = answer.json()
    assert told["jsonrpc"] == "2.0" and isinstance(told["error"]["code"], int)
    assert told["error"]["message"]


def test_other_methods(client: httpx.Client) -> None:
    """No streams to wait on, no sessions to end."""
    for method in ("GET", "DELETE", "PUT"):
        answer = client.request(method, "/mcp", headers={"Accept": "text/event-stream"})
        assert answer.status_code == 405 and answer.headers["allow"] == "POST"
        check(answer)


def test_limits(locked_server: Server, tight_server: Server) -> None:
    with httpx.Client(base_url=locked_server.url) as client:
        check(client.post("/mcp", json=message("ping")))
        large = message("tools/call", name="alt_text", arguments={"data": "A" * 2_000_000})
        answer = client.post("/mcp", content=json.dumps(large), headers=bearer(ANNA))
        assert answer.status_code == 413
        check(answer)
    with (
        httpx.Client(base_url=tight_server.url, timeout=30) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        first = pool.submit(client.post, "/caption", files={"image": plain(SLOW)})
        time.sleep(SLOW_SECONDS / 2)
        asked = message("tools/call", name="describe_image", arguments={"data": DATA})
        refused = client.post("/mcp", json=asked)
        assert first.result().status_code == 200
    assert refused.status_code == 429 and int(refused.headers["retry-after"]) > 0
    check(refused)
