"""Places, turns, and who is refused: the gateway's line in front of the engine."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Message

from serving.base.exchange import Exchange, current
from serving.base.problems import Problem
from serving.gateway.admission import Admission, ServiceRate


def make(limit: int = 64, in_engine: int = 4, full: int = 2, patience: float = 30.0) -> Admission:
    return Admission(limit, in_engine, full, patience)


@contextmanager
def asking(admission: Admission, images: int = 1) -> Iterator[Exchange]:
    """Be a request with so many pictures."""
    exchange = Exchange()
    try:
        with admission.request(exchange):
            admission.reserve(exchange, images)
            yield exchange
    finally:
        exchange.close()


def refused(admission: Admission, images: int = 1) -> Problem:
    with pytest.raises(Problem) as error, asking(admission, images):
        pass
    return error.value


def run(body: Callable[[], Awaitable[Any]]) -> None:
    asyncio.run(asyncio.wait_for(body(), 60))  # type: ignore[arg-type]


class Engine:
    """Holds every picture until it is let go; notes the order in which they came."""

    def __init__(self, admission: Admission) -> None:
        self.admission = admission
        self.came: list[str] = []
        self.most = self.inside = 0
        self.gate = asyncio.Event()

    async def caption(self, name: str, exchange: Exchange, weight: int = 1) -> str:
        self.admission.next_image(exchange)
        async with self.admission.turn(exchange, weight):
            self.came.append(name)
            self.inside += 1
            self.most = max(self.most, self.inside)
            try:
                await self.gate.wait()
            finally:
                self.inside -= 1
        return name

    async def request(self, name: str, weight: int = 1) -> str:
        with asking(self.admission) as exchange:
            return await self.caption(name, exchange, weight)


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


# --- places ---------------------------------------------------------------------------------------


def test_the_limit_counts_pictures_not_requests() -> None:
    admission = make(limit=10)
    with asking(admission, 7), asking(admission, 3):
        problem = refused(admission)
        assert (problem.status, problem.type_slug) == (429, "too-many-requests")
        assert "At most 10 pictures" in problem.detail
        assert int(problem.headers["Retry-After"]) >= 1
    with asking(admission, 9):
        assert refused(admission, 2).status == 429, "a batch is taken whole or not at all"
        with asking(admission):
            pass


def test_places_come_back_when_a_batch_is_refused() -> None:
    admission = make(limit=10)
    with asking(admission, 5):
        for _ in range(20):
            refused(admission, 6)
        with asking(admission, 5):
            pass


def test_a_batch_over_the_limit_is_let_in_alone() -> None:
    admission = make(limit=4)
    with asking(admission, 32):
        assert refused(admission).status == 429
    with asking(admission):
        assert refused(admission, 32).status == 429


def test_pictures_that_were_not_announced_are_counted_as_they_come() -> None:
    admission = make(limit=3)
    with asking(admission), asking(admission) as exchange:
        admission.next_image(exchange)
        admission.next_image(exchange)
        with pytest.raises(Problem, match="At most 3"):
            admission.next_image(exchange)


def test_the_current_exchange_is_found_and_put_back() -> None:
    assert current() is None
    outer = Exchange()
    assert current() is outer
    outer.close()
    assert current() is None


# --- the measured rate ----------------------------------------------------------------------------


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_rate_is_that_of_a_full_engine() -> None:
    clock = Clock()
    rate = ServiceRate(full=4, clock=clock)
    for _ in range(50):  # one at a time, a second each: says nothing of what it can do
        rate.started()
        clock.now += 1
        rate.ended(answered=True)
    assert rate.per_second() is None
    for _ in range(8):
        rate.started()
    for _ in range(20):  # batches of four in half a second
        clock.now += 0.5
        for _ in range(4):
            rate.ended(answered=True)
            rate.started()
    assert rate.per_second() == pytest.approx(8, rel=0.15)


def test_the_rate_follows_when_the_engine_slows_down() -> None:
    clock = Clock()
    rate = ServiceRate(full=1, clock=clock)
    rate.started()
    for seconds, wanted in ((0.1, 10), (1.0, 1)):
        for _ in range(60):
            rate.started()
            clock.now += seconds
            rate.ended(answered=True)
        assert rate.per_second() == pytest.approx(wanted, rel=0.2)


def test_failures_are_no_service() -> None:
    clock = Clock()
    rate = ServiceRate(full=1, clock=clock)
    for _ in range(9):
        rate.started()
        clock.now += 1
        rate.ended(answered=False)
    assert rate.per_second() is None


def at_rate(admission: Admission, per_second: float) -> None:
    """Have the engine's rate measured."""
    admission._rate = rate = ServiceRate(1, clock := Clock())
    for _ in range(100):
        rate.started()
        clock.now += 1 / per_second
        rate.ended(answered=True)


def test_the_advice_is_when_the_line_will_be_worked_off() -> None:
    admission = make(limit=20)
    at_rate(admission, 5)
    with asking(admission, 20):
        assert refused(admission).headers["Retry-After"] == "4"
    at_rate(admission, 0.01)
    with asking(admission, 20):
        assert refused(admission).headers["Retry-After"] == "60"
    at_rate(admission, 100)
    with asking(admission, 20):
        assert refused(admission).headers["Retry-After"] == "1"


def test_who_would_wait_too_long_is_refused_at_once_but_not_by_a_cold_server() -> None:
    admission = make(limit=1000, patience=10)
    with asking(admission, 900), asking(admission):
        pass
    at_rate(admission, 5)
    with asking(admission, 40), asking(admission):
        pass
    with asking(admission, 50):
        problem = refused(admission)
        assert (problem.status, problem.type_slug) == (503, "overloaded")
        assert problem.headers["Retry-After"] == "10"


# --- turns ----------------------------------------------------------------------------------------


def test_first_come_first_served_and_never_more_than_the_engine_is_to_have() -> None:
    async def body() -> None:
        engine = Engine(make(in_engine=3))
        names = [str(number) for number in range(12)]
        tasks = [asyncio.create_task(engine.request(name)) for name in names]
        await settle()
        assert engine.came == names[:3]
        engine.gate.set()
        assert await asyncio.gather(*tasks) == names
        assert engine.came == names
        assert engine.most == 3

    run(body)


def test_the_pictures_of_a_batch_stand_in_line_one_by_one() -> None:
    async def body() -> None:
        engine = Engine(make(in_engine=1))

        async def batch() -> list[str]:
            with asking(engine.admission, 3) as exchange:
                return await asyncio.gather(*(engine.caption(f"b{n}", exchange) for n in range(3)))

        tasks = [asyncio.create_task(part) for part in (engine.request("a"), batch())]
        await settle()
        tasks.append(asyncio.create_task(engine.request("c")))
        await settle()
        engine.gate.set()
        await asyncio.gather(*tasks)
        assert engine.came == ["a", "b0", "b1", "b2", "c"]

    run(body)


def test_who_has_waited_too_long_is_told_so() -> None:
    async def body() -> None:
        engine = Engine(make(in_engine=1, patience=0.05))
        first = asyncio.create_task(engine.request("first"))
        await settle()
        with pytest.raises(Problem) as error:
            await engine.request("second")
        assert error.value.type_slug == "overloaded"
        engine.gate.set()
        assert await first == "first"
        assert await engine.request("third") == "third"
        assert engine.came == ["first", "third"]

    run(body)


class Client:
    """An ASGI `receive` of a client that has sent its body, and may leave."""

    def __init__(self) -> None:
        self.left = asyncio.Event()
        self._sent = False

    async def receive(self) -> Message:
        if not self._sent:
            self._sent = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.left.wait()
        return {"type": "http.disconnect"}


def test_who_leaves_the_line_is_never_captioned_and_the_others_move_up() -> None:
    async def body() -> None:
        engine = Engine(make(in_engine=1))
        client = Client()

        async def leaving() -> str:
            with asking(engine.admission) as exchange:
                await exchange.listen(client.receive)()
                exchange.watch()
                return await engine.caption("leaver", exchange)

        first = asyncio.create_task(engine.request("first"))
        await settle()
        leaver = asyncio.create_task(leaving())
        await settle()
        last = asyncio.create_task(engine.request("last"))
        await settle()
        client.left.set()
        with pytest.raises(ClientDisconnect):
            await leaver
        engine.gate.set()
        await asyncio.gather(first, last)
        assert engine.came == ["first", "last"]

    run(body)


def test_who_left_before_the_line_does_not_enter_it() -> None:
    async def body() -> None:
        admission, client = make(), Client()
        with asking(admission) as exchange:
            await exchange.listen(client.receive)()
            exchange.watch()
            client.left.set()
            await settle()
            with pytest.raises(ClientDisconnect):
                async with admission.turn(exchange):
                    raise AssertionError("captioned for nobody")

    run(body)


def test_many_texts_take_many_turns_and_are_not_overtaken() -> None:
    async def body() -> None:
        engine = Engine(make(in_engine=4))
        tasks = []
        for name, weight in (("one", 1), ("three", 3), ("four", 4), ("small", 1), ("vast", 99)):
            tasks.append(asyncio.create_task(engine.request(name, weight)))
            await settle()
        assert engine.came == ["one", "three"]
        # Who leaves the line makes room for those who stood behind.
        tasks[2].cancel()
        tasks[0].cancel()
        await settle()
        assert engine.came == ["one", "three", "small"]
        engine.gate.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert engine.came == ["one", "three", "small", "vast"]
        assert engine.admission._busy == 0

    run(body)


def test_the_line_is_dismissed_when_the_engine_is_lost() -> None:
    async def body() -> None:
        engine = Engine(make(in_engine=1))
        first = asyncio.create_task(engine.request("first"))
        await settle()
        others = [asyncio.create_task(engine.request(str(n))) for n in range(3)]
        await settle()
        engine.admission.dismiss(lambda: Problem("engine-unavailable"))
        for other in others:
            with pytest.raises(Problem, match="restarting"):
                await other
        engine.gate.set()
        assert await first == "first"
        assert await engine.request("later") == "later"

    run(body)


@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_lost_whatever_happens(seed: int) -> None:
    """Requests end, are cancelled, run out of time and lose their clients, in any order."""
    chance = random.Random(seed)

    async def body() -> None:
        admission = make(limit=50, in_engine=3, patience=0.03)
        inside = most = 0

        async def one() -> None:
            nonlocal inside, most
            client = Client()
            asyncio.get_running_loop().call_later(chance.random() / 10, client.left.set)
            with asking(admission) as exchange:
                await exchange.listen(client.receive)()
                exchange.watch()
                admission.next_image(exchange)
                weight = chance.choice((1, 1, 2, 7))
                async with admission.turn(exchange, weight):
                    weight = min(weight, 3)
                    inside += weight
                    most = max(most, inside)
                    try:
                        await asyncio.sleep(chance.random() / 200)
                        if chance.random() < 0.1:
                            raise RuntimeError
                    finally:
                        inside -= weight

        tasks = []
        for _ in range(300):
            tasks.append(asyncio.create_task(one()))
            if chance.random() < 0.2:
                chance.choice(tasks).cancel()
            if chance.random() < 0.05:
                admission.dismiss(lambda: Problem("engine-unavailable"))
            await asyncio.sleep(chance.random() / 1000)
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert most == 3
        assert any(end is None for end in ends)
        allowed = (Problem, ClientDisconnect, RuntimeError, asyncio.CancelledError, type(None))
        assert all(isinstance(end, allowed) for end in ends), ends
        assert (admission._busy, admission._in_progress, len(admission._line)) == (0, 0, 0)
        with asking(admission) as exchange:
            async with admission.turn(exchange):
                pass

    run(body)
