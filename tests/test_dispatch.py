"""BentoML's dispatcher with our rule: nobody waits alone, company travels together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from bentoml._internal.marshal.dispatcher import CorkDispatcher
from bentoml.exceptions import ServiceUnavailable

from serving import dispatch


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
