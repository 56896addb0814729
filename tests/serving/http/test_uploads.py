"""Bodies on their way in: how much of them all may be held, and how slowly each may come."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from serving.base.machine import available_cores
from serving.base.problems import Problem
from serving.http import body_limit
from serving.http.body_limit import LARGE_BYTES, BodyLimitMiddleware
from serving.http.uploads import BodyMemory, UploadMiddleware

MIB = 1024 * 1024
START: Message = {"type": "http.response.start", "status": 200, "headers": []}
END: Message = {"type": "http.response.body", "body": b"", "more_body": False}


def scope(announced: int | None = None) -> Scope:
    headers = [] if announced is None else [(b"content-length", str(announced).encode())]
    return {"type": "http", "method": "POST", "path": "/caption", "headers": headers}


class Client:
    """Sends a body in pieces, each after a pause in seconds; notes the answer."""

    def __init__(self, pieces: Iterable[tuple[float, bytes]], stalls: bool = False) -> None:
        self._pieces, self._stalls = list(pieces), stalls
        self.status = 0

    async def receive(self) -> Message:
        if not self._pieces:
            await asyncio.sleep(3600)
        pause, body = self._pieces.pop(0)
        await asyncio.sleep(pause)
        more = bool(self._pieces) or self._stalls
        return {"type": "http.request", "body": body, "more_body": more}

    async def send(self, message: Message) -> None:
        self.status = message.get("status", self.status)


class Reader:
    """Reads every body, and answers when it is told to."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.refusals: list[Problem] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        size, more = 0, True
        while more:
            try:
                message = await receive()
            except Problem as problem:
                self.refusals.append(problem)
                await send({**START, "status": problem.status})
                await send(END)
                return
            size += len(message.get("body", b""))
            more = message.get("more_body", False)
        self.sizes.append(size)
        await self.may_answer.wait()
        await send(START)
        await send(END)


def run(body: Callable[[], Awaitable[Any]]) -> None:
    asyncio.run(asyncio.wait_for(body(), 60))  # type: ignore[arg-type]


async def ask(app: UploadMiddleware, client: Client, announced: int | None = None) -> int:
    await app(scope(announced), client.receive, client.send)
    return client.status


# --- memory ---------------------------------------------------------------------------------------


def test_bytes_are_held_until_the_answer_and_no_longer() -> None:
    async def body() -> None:
        reader = Reader()
        app = UploadMiddleware(reader, 8 * MIB, 1, 60)
        reader.may_answer.clear()
        first = asyncio.create_task(ask(app, Client([(0, bytes(5 * MIB))])))
        while not reader.sizes:
            await asyncio.sleep(0)
        assert await ask(app, Client([(0, bytes(5 * MIB))]), 5 * MIB) == 429, "announced"
        assert await ask(app, Client([(0, bytes(3 * MIB // 2))] * 2)) == 429, "counted"
        assert [problem.type_slug for problem in reader.refusals] == ["too-many-requests"]
        assert int(reader.refusals[0].headers["Retry-After"]) >= 1
        reader.may_answer.set()
        assert await first == 200
        for _ in range(3):
            assert await ask(app, Client([(0, bytes(7 * MIB))]), 7 * MIB) == 200

    run(body)


def test_small_bodies_find_room_where_large_ones_do_not() -> None:
    memory = BodyMemory(16 * MIB)
    memory.take(14 * MIB)
    with pytest.raises(Problem) as refusal:
        memory.require(1, LARGE_BYTES + 1)
    assert refusal.value.status == 429 and "16 MiB" in (refusal.value.detail or "")
    memory.require(LARGE_BYTES, LARGE_BYTES)
    memory.take(3 * MIB // 2)
    with pytest.raises(Problem):
        memory.require(LARGE_BYTES, LARGE_BYTES)
    memory.require(LARGE_BYTES // 2, LARGE_BYTES // 2)


def test_who_announces_much_and_sends_nothing_takes_nothing() -> None:
    async def body() -> None:
        app = UploadMiddleware(Reader(), 8 * MIB, 1, 60)
        silent = [
            asyncio.create_task(ask(app, Client([], stalls=True), 7 * MIB)) for _ in range(50)
        ]
        await asyncio.sleep(0.01)
        assert await ask(app, Client([(0, bytes(7 * MIB))]), 7 * MIB) == 200
        for task in silent:
            task.cancel()
        await asyncio.gather(*silent, return_exceptions=True)

    run(body)


def test_many_large_ones_at_once_are_never_more_than_the_memory() -> None:
    async def body() -> None:
        app = UploadMiddleware(Reader(), 10 * MIB, 1, 60)
        most = 0

        async def watch() -> None:
            nonlocal most
            while True:
                most = max(most, app._memory._taken)
                await asyncio.sleep(0)

        watching = asyncio.create_task(watch())
        clients = [Client([(0.001, bytes(MIB // 4))] * 12) for _ in range(30)]
        statuses = await asyncio.gather(*(ask(app, client) for client in clients))
        watching.cancel()
        assert set(statuses) == {200, 429} and statuses.count(200) >= 2
        assert most <= 10 * MIB and app._memory._taken == 0

    run(body)


# --- time -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pieces",
    [[], [(0, bytes(100_000))], [(0, b"x")] + [(0.05, b"x")] * 100],
    ids=["silent", "stalled", "trickling"],
)
def test_who_stands_still_is_refused(pieces: list[tuple[float, bytes]]) -> None:
    async def body() -> None:
        reader = Reader()
        app = UploadMiddleware(reader, 8 * MIB, 1000, 0.2)
        began = asyncio.get_running_loop().time()
        assert await ask(app, Client(pieces, stalls=True), MIB) == 408
        assert asyncio.get_running_loop().time() - began >= 0.2
        assert reader.refusals[0].type_slug == "upload-too-slow"
        assert reader.refusals[0].headers["Connection"] == "close"
        assert app._memory._taken == 0

    run(body)


def test_who_keeps_the_rate_may_take_long() -> None:
    async def body() -> None:
        reader = Reader()
        app = UploadMiddleware(reader, 8 * MIB, 1000, 0.3)
        client = Client([(0.1, bytes(200))] * 12)
        assert await ask(app, client) == 200
        assert reader.sizes == [2400]

    run(body)


def test_an_empty_body_is_one() -> None:
    async def body() -> None:
        reader = Reader()
        app = UploadMiddleware(reader, 8 * MIB, 1000, 30)
        assert await ask(app, Client([(0, b"")]), 0) == 200
        assert reader.sizes == [0]

    run(body)


def test_a_time_limit_of_the_application_inside_stays_its_own() -> None:
    async def body() -> None:
        async def impatient(_: Scope, receive: Receive, send: Send) -> None:
            async with asyncio.timeout(0.01):
                await receive()

        app = UploadMiddleware(impatient, 8 * MIB, 1000, 30)
        with pytest.raises(TimeoutError):
            await app(scope(), Client([], stalls=True).receive, Client([]).send)

    run(body)


# --- large ones in turn ---------------------------------------------------------------------------


async def read_together(pieces: list[int], size: int) -> float:
    """Read bodies of so many pieces at once; return the seconds until the first has been read."""
    ended: list[float] = []
    app = BodyLimitMiddleware(Reader(), 100 * MIB)

    async def one(count: int) -> None:
        client = Client([(0, bytes(size))] * count)
        await app(scope(count * size), client.receive, client.send)
        ended.append(asyncio.get_running_loop().time())

    began = asyncio.get_running_loop().time()
    await asyncio.gather(*map(one, pieces))
    return min(ended) - began


def test_large_bodies_leave_time_for_others() -> None:
    async def body() -> None:
        rate = body_limit._RATE * available_cores()
        alone = await read_together([40], MIB // 4)
        several = await read_together([40] * 4, MIB // 4)
        assert alone < 10 * MIB / rate, "one by itself goes as fast as it can"
        assert several > 30 * MIB / rate, "several share the rate"

    run(body)


def test_small_bodies_do_not_wait_for_large_ones() -> None:
    async def body() -> None:
        first = await read_together([80, 80, 80, 1], MIB // 4)
        assert first < 10 * MIB / (body_limit._RATE * available_cores())

    run(body)
