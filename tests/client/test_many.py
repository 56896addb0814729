"""`caption_many`: order, the window, failures as values, giving up half-way."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from captionbox import AsyncCaptionbox, Captionbox, Outcome
from captionbox.errors import CaptionboxError, ImageInputError, UnsupportedMediaTypeError
from captionbox.transport.grouping import agrouped
from captionbox.transport.windows import amap_window, map_window

from tests.client.either import Either, json_answer
from tests.client.stand_in import StandIn, answer_to, caption_of, picture, problem
from tests.client.test_calls import parts


def answer(request: httpx.Request) -> httpx.Response:
    content = next(part for _, file, _, part in parts(request) if file is not None)
    if b"BAD" in content:
        return json_answer(problem(415, "unsupported-image", "Unsupported", "No."), 415)
    return json_answer(answer_to(content))


def test_order_and_failures(either: Either) -> None:
    images: list[Any] = [picture(str(n)) for n in range(50)]
    images[7], images[9] = picture("BAD"), "missing.jpg"
    outcomes = either.call(answer, "caption_many", images, concurrency=4)
    assert [outcome.index for outcome in outcomes] == list(range(50))
    assert [outcome.image for outcome in outcomes] == images
    assert isinstance(outcomes[7].error, UnsupportedMediaTypeError)
    assert isinstance(outcomes[9].error, ImageInputError)
    for index, outcome in enumerate(outcomes):
        assert (outcome.result is None) == (outcome.error is not None)
        if index not in (7, 9):
            assert outcome.unwrap().text == caption_of(images[index])


def test_as_completed(either: Either) -> None:
    images = (picture(str(n)) for n in range(50))
    outcomes = either.call(answer, "caption_many", images, concurrency=4, ordered=False)
    assert sorted(outcome.index for outcome in outcomes) == list(range(50))
    assert all(outcome.unwrap().text == caption_of(outcome.image) for outcome in outcomes)


def test_options_reach_every_request(either: Either) -> None:
    either.call(answer, "caption_many", [picture("a"), picture("b")], num_beams=3)
    for request in either.requests:
        assert ("num_beams", None, None, b"3") in parts(request)


def test_nothing_from_nothing(either: Either) -> None:
    assert either.call(answer, "caption_many", []) == []


def test_concurrency_below_one(either: Either) -> None:
    with pytest.raises(ValueError, match="concurrency"):
        either.call(answer, "caption_many", [], concurrency=0)


@pytest.mark.parametrize("ordered", [True, False])
def test_the_window_bounds_what_is_pulled_and_what_is_at_work(
    stand_in: StandIn, ordered: bool
) -> None:
    stand_in.delay = 0.005
    pulled = 0

    def endless() -> Iterator[bytes]:
        nonlocal pulled
        for number in itertools.count():
            pulled += 1
            yield picture(str(number))

    with Captionbox(stand_in.url) as client:
        outcomes = client.caption_many(endless(), concurrency=3, ordered=ordered)
        assert pulled == 0
        for taken, _ in enumerate(itertools.islice(outcomes, 40), 1):
            assert pulled <= taken + 5
        outcomes.close()
    assert stand_in.most <= 3


@pytest.mark.parametrize("ordered", [True, False])
def test_the_window_with_asyncio(stand_in: StandIn, ordered: bool) -> None:
    stand_in.delay = 0.005

    async def run() -> None:
        pulled = 0

        async def endless() -> AsyncGenerator[bytes, None]:
            nonlocal pulled
            for number in itertools.count():
                pulled += 1
                yield picture(str(number))

        taken, source = 0, endless()
        async with AsyncCaptionbox(stand_in.url) as client:
            outcomes = client.caption_many(source, concurrency=3, ordered=ordered)
            async for _ in outcomes:
                taken += 1
                assert pulled <= taken + 5
                if taken == 40:
                    break
            await outcomes.aclose()
            await source.aclose()
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(run())
    assert stand_in.most <= 3


def test_work_is_done_side_by_side(stand_in: StandIn) -> None:
    stand_in.delay = 0.15
    with Captionbox(stand_in.url) as client:
        assert len(list(client.caption_many([picture(str(n)) for n in range(24)]))) == 24
    assert 4 <= stand_in.most <= 8


def test_a_slow_source_delays_no_result() -> None:
    """With asyncio a result comes out while the source still thinks about its next item."""

    async def run() -> list[int]:
        gate = asyncio.Event()

        async def slow() -> AsyncIterator[int]:
            yield 1
            await gate.wait()
            yield 2

        async def work(_: int, item: int) -> int:
            return item

        seen = []
        async for result in amap_window(work, slow(), 4, True):
            seen.append(result)
            gate.set()
        return seen

    assert asyncio.run(asyncio.wait_for(run(), 5)) == [1, 2]


@pytest.mark.parametrize("ordered", [True, False])
def test_a_source_that_fails_ends_everything(ordered: bool) -> None:
    def failing() -> Iterator[int]:
        yield from range(10)
        raise OSError("the disk")

    with pytest.raises(OSError, match="the disk"):
        list(map_window(lambda index, item: item, failing(), 2, ordered))

    async def work(_: int, item: int) -> int:
        return item

    async def run() -> list[int]:
        return [one async for one in amap_window(work, failing(), 2, ordered)]

    with pytest.raises(OSError, match="the disk"):
        asyncio.run(run())


def test_mistakes_in_the_program_are_not_values(either: Either) -> None:
    with pytest.raises(TypeError, match="an image is"):
        either.call(answer, "caption_many", [picture("a"), 3])


def test_giving_up_leaves_no_thread_behind(stand_in: StandIn) -> None:
    before = threading.active_count()
    with Captionbox(stand_in.url) as client:
        for _ in client.caption_many(picture(str(n)) for n in itertools.count()):
            break
    deadline = time.monotonic() + 60
    while threading.active_count() > before + 1 and time.monotonic() < deadline:
        time.sleep(0.01)  # the stand-in's own threads end with their connections
    assert not [t for t in threading.enumerate() if t.name.startswith("captionbox")]


def test_an_outcome_without_both_still_raises_the_packages_error() -> None:
    with pytest.raises(CaptionboxError):
        Outcome(0, "a.jpg").unwrap()


def batch_answer(request: httpx.Request) -> httpx.Response:
    contents = [part for _, file, _, part in parts(request) if file is not None]
    if not request.url.path.endswith("batch"):
        return answer(request)
    bad = {"error": problem(415, "unsupported-image", "Unsupported", "No.")}
    return json_answer({"results": [bad if b"BAD" in one else answer_to(one) for one in contents]})


def test_several_share_a_request(either: Either) -> None:
    images = [picture(str(number)) for number in range(10)] + [picture("BAD")]
    found = either.call(batch_answer, "caption_many", images, concurrency=2, batch_size=4)
    assert [one.index for one in found] == list(range(11))
    assert [one.image for one in found] == images
    assert [one.result and one.result.text for one in found[:10]] == [
        caption_of(one) for one in images[:10]
    ]
    assert isinstance(found[10].error, UnsupportedMediaTypeError)
    assert [one.url.path for one in either.requests] == ["/caption_batch"] * 3


def test_a_request_that_fails_as_a_whole_loses_nothing(either: Either) -> None:
    def failing(request: httpx.Request) -> httpx.Response:
        return httpx.Response(500) if len(either.requests) < 3 else batch_answer(request)

    images = [picture(str(number)) for number in range(4)]
    found = either.call(failing, "caption_many", images, concurrency=1, batch_size=4)
    assert [one.error is None for one in found] == [False, True, True, True]


@pytest.mark.parametrize("size", [0, 33])
def test_how_many_may_share_a_request(either: Either, size: int) -> None:
    with pytest.raises(ValueError, match="batch_size is 1 to 32"):
        either.call(batch_answer, "caption_many", [], batch_size=size)


def test_what_has_come_does_not_wait_for_what_may_come() -> None:
    async def run() -> list[list[int]]:
        async def slow() -> AsyncIterator[int]:
            for number in range(5):
                yield number
                await asyncio.sleep(0.1 if number == 2 else 0)

        sizes = iter([2, 4, 4])
        return [group async for group in agrouped(slow(), lambda: next(sizes))]

    assert asyncio.run(run()) == [[0, 1], [2], [3, 4]]
