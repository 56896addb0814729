"""Cuts an endless row of items into groups for one request each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Generator, Iterable, Iterator
from contextlib import aclosing, closing
from itertools import islice
from typing import Any, TypeVar, cast

T = TypeVar("T")

_LINGER_SECONDS = 0.01
"""How long a group that is not full waits for the next item."""

_END: Any = object()


def check_batch_size(size: int, most: int) -> None:
    """Raise ValueError unless so many pictures may share a request."""
    if not 1 <= size <= most:
        raise ValueError(f"batch_size is 1 to {most}, got {size!r}")


def grouped(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield `items` in lists of `size`, the last one shorter."""
    source = iter(items)
    while group := list(islice(source, size)):
        yield group


async def agrouped(
    items: Iterable[T] | AsyncIterable[T], size: int | Callable[[], int]
) -> AsyncGenerator[list[T], None]:
    """Yield `items` in lists of at most `size`; what has come does not wait for what may come.

    Args:
        items: may be endless.
        size: the most of a list, or what tells it before each.
    """
    size_of = size if callable(size) else lambda: size
    source = aiter(items) if isinstance(items, AsyncIterable) else _apulled(items)
    most, group = size_of(), list[T]()
    coming: asyncio.Future[T] = asyncio.ensure_future(_following(source))
    try:
        while True:
            if group and len(group) < most:
                await asyncio.wait({coming}, timeout=_LINGER_SECONDS)
            if group and (len(group) >= most or not coming.done()):
                yield group
                most, group = size_of(), []
            item = await coming
            if item is _END:
                break
            group.append(item)
            coming = asyncio.ensure_future(_following(source))
        if group:
            yield group
    finally:
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)
        if isinstance(source, AsyncGenerator):
            await source.aclose()


async def _apulled(items: Iterable[T]) -> AsyncGenerator[T, None]:
    for item in items:
        yield item


def chained(groups: Generator[list[T], None, None]) -> Generator[T, None, None]:
    """Yield the items of groups; close the groups at the end."""
    with closing(groups):
        for group in groups:
            yield from group


async def achained(groups: AsyncGenerator[list[T], None]) -> AsyncGenerator[T, None]:
    """Yield the items of groups; close the groups at the end."""
    async with aclosing(groups):
        async for group in groups:
            for item in group:
                yield item


def numbered(
    items: Iterable[T] | AsyncIterable[T],
) -> Iterable[tuple[int, T]] | AsyncIterable[tuple[int, T]]:
    """Return `items` with their positions, from 0."""
    return _anumbered(items) if isinstance(items, AsyncIterable) else enumerate(items)


async def _anumbered(items: AsyncIterable[T]) -> AsyncGenerator[tuple[int, T], None]:
    number = 0
    async for item in items:
        yield number, item
        number += 1


async def _following(source: Any) -> T:
    try:
        return cast(T, await anext(source))
    except StopAsyncIteration:
        return cast(T, _END)
