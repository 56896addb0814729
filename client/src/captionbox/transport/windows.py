"""A bounded window over an endless row of work, with threads and with asyncio.

At most `2 * concurrency` items are held at a time, at work or waiting to be taken; the next one is
pulled from the source only when one of them has left.
"""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Awaitable,
    Callable,
    Generator,
    Iterable,
)
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import aclosing
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def check_concurrency(concurrency: int) -> None:
    """Raise ValueError unless at least one thing may be done at a time."""
    if concurrency < 1:
        raise ValueError(f"concurrency is 1 or more, got {concurrency!r}")


def map_window(
    work: Callable[[int, T], R], items: Iterable[T], concurrency: int, ordered: bool
) -> Generator[R, None, None]:
    """Yield `work(index, item)` for every item: `work` in threads, `items` pulled in this one.

    Args:
        work: must not raise what is to be kept: an exception ends everything.
        items: may be endless.
        concurrency: how many are at work at a time.
        ordered: in the order of `items`, otherwise as they are completed.
    """
    source = enumerate(items)
    done: SimpleQueue[Future[R]] = SimpleQueue()
    held = 0
    with ThreadPoolExecutor(concurrency, thread_name_prefix="captionbox") as executor:
        try:
            exhausted = False
            while True:
                while not exhausted and held < 2 * concurrency:
                    pulled = next(source, None)
                    if pulled is None:
                        exhausted = True
                        break
                    future = executor.submit(work, *pulled)
                    held += 1
                    if ordered:
                        done.put(future)
                    else:
                        future.add_done_callback(done.put)
                if held == 0:
                    return
                result = done.get().result()
                held -= 1
                yield result
        finally:
            executor.shutdown(wait=False, cancel_futures=True)


async def amap_window(
    work: Callable[[int, T], Awaitable[R]],
    items: Iterable[T] | AsyncIterable[T],
    concurrency: int,
    ordered: bool,
) -> AsyncGenerator[R, None]:
    """Yield `await work(index, item)` for every item; the asyncio twin of `map_window`.

    Results are yielded while a slow asynchronous source is still thinking about its next item.
    """
    window, at_work = asyncio.Semaphore(2 * concurrency), asyncio.Semaphore(concurrency)
    done: asyncio.Queue[asyncio.Task[R] | None] = asyncio.Queue()
    tasks: set[asyncio.Task[R]] = set()

    async def run(index: int, item: T) -> R:
        async with at_work:
            return await work(index, item)

    async def feed() -> None:
        index = 0
        await window.acquire()
        async with aclosing(_aiter(items)) as source:
            async for item in source:
                task = asyncio.create_task(run(index, item))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
                if ordered:
                    done.put_nowait(task)
                else:
                    task.add_done_callback(done.put_nowait)
                index += 1
                await window.acquire()
        if tasks:
            await asyncio.wait(tasks)

    feeder = asyncio.create_task(feed())
    # Runs after the callbacks of the tasks that `feed` waited for, so nothing comes after None.
    feeder.add_done_callback(lambda _: done.put_nowait(None))
    try:
        while (task := await done.get()) is not None:
            result = await task
            window.release()
            yield result
        await feeder
    finally:
        for left in (feeder, *tasks):
            left.cancel()
        await asyncio.gather(feeder, *tasks, return_exceptions=True)


async def _aiter(items: Iterable[T] | AsyncIterable[T]) -> AsyncGenerator[T, None]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
