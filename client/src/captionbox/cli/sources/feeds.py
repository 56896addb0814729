"""Where the images of a run come from, one by one: a list, or lines on standard input."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import suppress

from captionbox.cli.sources.lists import Lines, ListError

_READ_AHEAD = 1000


async def listed(sources: Iterable[str], stop: asyncio.Event) -> AsyncIterator[str]:
    """Yield `sources` until `stop`."""
    for source in sources:
        if stop.is_set():
            return
        yield source


async def standard_input(stop: asyncio.Event, null: bool) -> AsyncIterator[str]:
    """Yield the lines of standard input as they arrive, blank ones left out, until `stop`.

    A pipe may stay open for ever and be silent for hours; nothing that is under way waits for it.

    Args:
        stop: ends it.
        null: lines end with null bytes.

    Raises:
        ListError: the list cannot be read.
    """
    lines: asyncio.Queue[str | ListError | None] = asyncio.Queue(_READ_AHEAD)
    loop = asyncio.get_running_loop()

    def put(item: str | ListError | None) -> None:
        asyncio.run_coroutine_threadsafe(lines.put(item), loop).result()

    def read() -> None:
        with suppress(RuntimeError):  # the run has ended, and nobody wants the rest
            try:
                for line in _raw_lines(sys.stdin.fileno(), null):
                    put(line)
                put(None)
            except ListError as error:
                put(error)

    # A daemon: a blocked read cannot be called off, and must not keep the process alive.
    threading.Thread(target=read, name="captionbox-stdin", daemon=True).start()
    stopped = asyncio.create_task(stop.wait())
    try:
        while not stop.is_set():
            line = asyncio.create_task(lines.get())
            await asyncio.wait({line, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not line.done():
                line.cancel()
                return
            item = line.result()
            if item is None:
                return
            if isinstance(item, ListError):
                raise item
            yield item
    finally:
        stopped.cancel()


def _raw_lines(descriptor: int, null: bool) -> Iterator[str]:
    """Yield lines that are not blank, without `sys.stdin`: its lock would be held at exit."""
    lines = Lines(null)
    while piece := os.read(descriptor, 65536):
        yield from lines.feed(piece)
    yield from lines.end()
