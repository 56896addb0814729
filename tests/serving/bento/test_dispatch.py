"""BentoML's dispatcher with our rule: nobody waits alone, company travels together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from bentoml._internal.marshal.dispatcher import CorkDispatcher
from bentoml.exceptions import ServiceUnavailable

from serving.bento import dispatch


class Model:
    """Computes one batch at a time, each when it is told to."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Semaphore(0)

    async def __call__(self, batch: Sequence[int]) -> list[int]:
        self.batches.append(list(batch))
        await self.gate.acquire()
        if 13 in batch:
            raise RuntimeError("unlucky")
        return [-item for item in batch]


@pytest.fixture
def dispatcher(monkeypatch: pytest.MonkeyPatch) -> CorkDispatcher[Any, Any]:
    monkeypatch.setattr(CorkDispatcher, "controller", CorkDispatcher.controller)  # put back later
    dispatch.dispatch_at_once()

    def refuse() -> None:
        raise ServiceUnavailable("process is overloaded")

    # A latency that BentoML's own estimate would find impossible from the start.
    return CorkDispatcher(1, 4, fallback=refuse, get_batch_size=lambda _: 1)


def run(coroutine: Any) -> Any:
    return asyncio.run(asyncio.wait_for(coroutine, 30))


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def test_alone_no_request_waits_from_the_first_to_the_fiftieth(
    dispatcher: CorkDispatcher[Any, Any],
) -> None:
    async def one_after_the_other() -> None:
        model = Model()
        call = dispatcher(model)
        for number in range(100, 150):
            waiting = asyncio.create_task(call(number))
            await settled()  # no time passes here, only turns of the loop
            assert model.batches[-1] == [number]
            model.gate.release()
            assert await waiting == -number

    run(one_after_the_other())


def test_what_arrives_during_a_batch_is_the_next_one(
    dispatcher: CorkDispatcher[Any, Any],
) -> None:
    async def crowd() -> None:
        model = Model()
        call = dispatcher(model)
        first = asyncio.create_task(call(0))
        await settled()
        others = [asyncio.create_task(call(number)) for number in range(1, 8)]
        await settled()
        assert model.batches == [[0]]
        model.gate.release()
        await settled()
        assert model.batches == [[0], [1, 2, 3, 4]]  # at most four at a time
        model.gate.release()
        model.gate.release()
        assert [await task for task in (first, *others)] == [-n for n in range(8)]
        assert model.batches == [[0], [1, 2, 3, 4], [5, 6, 7]]

    run(crowd())


def test_requests_that_come_together_go_together(dispatcher: CorkDispatcher[Any, Any]) -> None:
    async def together() -> None:
        model = Model()
        call = dispatcher(model)
        model.gate.release()
        assert await asyncio.gather(*(call(number) for number in (1, 2, 3))) == [-1, -2, -3]
        assert model.batches == [[1, 2, 3]]

    run(together())


def test_a_failed_batch_fails_alone(dispatcher: CorkDispatcher[Any, Any]) -> None:
    async def fail() -> None:
        model = Model()
        call = dispatcher(model)
        for _ in range(2):
            model.gate.release()
        with pytest.raises(RuntimeError, match="unlucky"):
            await call(13)
        assert await call(2) == -2

    run(fail())


def test_a_cancelled_request_is_not_computed(dispatcher: CorkDispatcher[Any, Any]) -> None:
    async def leave() -> None:
        model = Model()
        call = dispatcher(model)
        first = asyncio.create_task(call(0))
        await settled()
        gone, stays = asyncio.create_task(call(1)), asyncio.create_task(call(2))
        await settled()
        gone.cancel()
        await settled()
        model.gate.release()
        model.gate.release()
        assert (await first, await stays) == (0, -2)
        assert model.batches == [[0], [2]]
        with pytest.raises(ServiceUnavailable):
            await gone

    run(leave())


# --- the model is held for those that it has just answered ---------------------------------------


async def in_circles(
    dispatcher: CorkDispatcher[Any, Any], clients: int, rounds: int, pause: float
) -> list[int]:
    """Have clients that ask again `pause` seconds after each answer; return the batches' sizes."""
    sizes: list[int] = []

    async def model(batch: Sequence[int]) -> list[int]:
        sizes.append(len(batch))
        await asyncio.sleep(0.2)
        return [-item for item in batch]

    call = dispatcher(model)

    async def client(number: int) -> None:
        # They begin one after the other, so that they are not together from the start.
        await asyncio.sleep(0.02 * number)
        for _ in range(rounds):
            assert await call(number) == -number
            await asyncio.sleep(pause)

    await asyncio.gather(*(client(number) for number in range(clients)))
    return sizes


def test_clients_that_come_back_at_once_share_a_batch(
    dispatcher: CorkDispatcher[Any, Any],
) -> None:
    sizes = run(in_circles(dispatcher, 4, 6, pause=0.002))
    assert sizes.count(4) >= 4  # without a hold: 1, 3, 1, 3, and so on


def test_clients_that_take_their_time_are_not_waited_for(
    dispatcher: CorkDispatcher[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "_SHARE", 100)  # not even where there would be time
    monkeypatch.setattr(dispatch, "_LONGEST", 0.001)
    assert 4 not in run(in_circles(dispatcher, 4, 6, pause=0.1))


def test_a_hold_is_for_half_of_those_hoped_for_and_is_given_up_in_vain() -> None:
    hold, tried = dispatch.Hold(), []
    for batch in range(40):
        hold.begin(answered=5, waiting=3, most=7, seconds=1)
        if hold.wanted:
            assert hold.wanted == 7
            tried.append(batch)
        hold.end(waiting=4)
    assert tried == [0, 2, 6, 14, 30]


def test_a_hold_that_paid_is_made_again() -> None:
    hold = dispatch.Hold()
    for _ in range(3):
        hold.begin(answered=5, waiting=3, most=7, seconds=1)
        assert hold.wanted == 7
        hold.end(waiting=5)
    hold.begin(answered=1, waiting=0, most=7, seconds=1)
    assert hold.wanted == 1  # alone: the first to come ends it
    hold.end(waiting=1)
    hold.begin(answered=1, waiting=1, most=7, seconds=1)
    assert hold.wanted == 2
