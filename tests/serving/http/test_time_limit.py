"""The time limit: who is late is told so, who has begun is left alone, nothing is kept."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from serving.http.time_limit import TimeLimitMiddleware

SCOPE: Scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
START: Message = {"type": "http.response.start", "status": 200, "headers": []}
END: Message = {"type": "http.response.body", "body": b"", "more_body": False}


async def gone() -> Message:
    return {"type": "http.disconnect"}


def ask(app: Any, seconds: float, receive: Receive = gone) -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(TimeLimitMiddleware(app, seconds)(dict(SCOPE), receive, send))
    return sent


def test_who_is_late_is_cancelled_and_gets_a_504() -> None:
    cancelled = []

    async def late(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    assert ask(late, 0.01)[0]["status"] == 504
    assert cancelled


def test_what_the_application_says_to_being_cancelled_is_not_sent() -> None:
    async def stubborn(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            await send({**START, "status": 503})
            await send(END)

    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            raise RuntimeError from None

    for app in (stubborn, failing):
        sent = ask(app, 0.01)
        assert [message["type"] for message in sent] == [START["type"], END["type"]]
        assert sent[0]["status"] == 504


def test_an_answer_that_has_begun_may_take_its_time() -> None:
    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        await asyncio.sleep(0.1)
        await send(END)

    assert ask(slow, 0.02) == [START, END]


def test_mistakes_of_the_application_are_its_own() -> None:
    async def wrong(scope: Scope, receive: Receive, send: Send) -> None:
        raise TimeoutError("of its own")

    with pytest.raises(TimeoutError, match="of its own"):
        ask(wrong, 30)


def test_nothing_of_a_request_is_kept_once_it_is_over() -> None:
    class Body:
        pass

    kept: list[weakref.ref[Body]] = []

    async def quick(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        await send(END)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(_: Message) -> None:
        pass

    async def one(app: Any) -> None:
        body = Body()
        kept.append(weakref.ref(body))
        await app({**SCOPE, "body": body}, receive, send)

    async def many() -> None:
        app = TimeLimitMiddleware(quick, 3600)
        for _ in range(500):
            await asyncio.create_task(one(app))
        gc.collect()
        alive = sum(ref() is not None for ref in kept)
        assert alive < 250, f"{alive} of 500 requests are still in memory"

    asyncio.run(many())


@pytest.mark.parametrize(("pause", "work", "status"), [(0.2, 0.0, 200), (0.2, 0.3, 504)])
def test_the_clients_own_time_does_not_count(pause: float, work: float, status: int) -> None:
    pieces = [b"a", b"b", b""]

    async def receive() -> Message:
        await asyncio.sleep(pause)
        body = pieces.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(pieces)}

    async def reading(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["more_body"]:
            pass
        await asyncio.sleep(work)
        await send(START)
        await send(END)

    assert ask(reading, 0.15, receive)[0]["status"] == status
