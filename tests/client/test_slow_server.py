"""Uploads that take long, and servers that answer before they have them whole."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from captionbox import (
    AsyncCaptionbox,
    Captionbox,
    CaptionResult,
    PayloadTooLargeError,
    RequestTimeoutError,
)
from captionbox.cli.output.endings import Fault, fault_of

from tests.client.either import Either, json_answer
from tests.client.stand_in import answer_to, picture, problem

LARGE = picture("large") + bytes(24 << 20)


def answer(status: int, content: object) -> bytes:
    body = json.dumps(content).encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


@contextmanager
def raw_server(handle: Callable[[socket.socket], None]) -> Iterator[str]:
    """Run a server that hands every connection to `handle`, one after the other."""
    listener = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def serve() -> None:
        while not ended.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                handle(connection)

    threading.Thread(target=serve, daemon=True).start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    ended.set()
    listener.close()


def ask(kind: str, url: str, **settings: Any) -> CaptionResult:
    if kind == "sync":
        with Captionbox(url, **settings) as client:
            return client.caption(LARGE)

    async def run() -> CaptionResult:
        async with AsyncCaptionbox(url, **settings) as client:
            return await client.caption(LARGE)

    return asyncio.run(run())


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_slow_upload_is_no_timeout(kind: str) -> None:
    """The limit is for the server's answer and for standstill, not for the whole upload."""

    def slowly(connection: socket.socket) -> None:
        got, pause = 0, len(LARGE) // 40
        while got < len(LARGE):
            got += len(connection.recv(1 << 18))
            # More slowly than the time limit, but for what the system's buffers hold at the end.
            if pause < got < len(LARGE) // 2:
                pause += len(LARGE) // 40
                time.sleep(0.1)
        connection.sendall(answer(200, answer_to(LARGE)))

    with raw_server(slowly) as url:
        began = time.monotonic()
        ask(kind, url, timeout=1.0)
        assert time.monotonic() - began > 1.1


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize(
    ("status", "expected"), [(413, PayloadTooLargeError), (408, RequestTimeoutError)]
)
def test_an_answer_before_the_upload_has_ended(
    kind: str, status: int, expected: type[Exception]
) -> None:
    def early(connection: socket.socket) -> None:
        connection.recv(1 << 16)
        body = problem(status, "some", "Some", "Enough.")
        connection.sendall(answer(status, body))
        connection.shutdown(socket.SHUT_WR)
        # As servers do that close gently: what is still on its way is read and thrown away.
        while connection.recv(1 << 18):
            pass

    with raw_server(early) as url, pytest.raises(expected, match="Enough"):
        ask(kind, url, max_retries=0)


def test_what_came_too_slowly_is_sent_again(either: Either) -> None:
    answers = [json_answer(problem(408, "slow", "Slow", "x"), 408), json_answer(answer_to(b"a"))]
    assert either.call(lambda _: answers.pop(0), "caption", picture("a")).text
    assert len(either.requests) == 2


def test_a_slow_upload_is_not_the_pictures_fault(either: Either) -> None:
    slow = json_answer(problem(408, "upload-too-slow", "Upload too slow", "x"), 408)
    with pytest.raises(RequestTimeoutError) as caught:
        either.with_client(lambda _: slow, {"max_retries": 0}, "caption", picture("a"))
    assert caught.value.transient and fault_of(caught.value) is Fault.SERVER_ILL
