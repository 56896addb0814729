"""Where long texts of requests are read: in one thread, one after the other.

Megabytes of JSON or base64 take tens of milliseconds and as much memory again. In turn, and beside
the event loop, they keep nobody else waiting, and their memory is needed once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

LONG = 128 * 1024
"""From how many bytes on a text is worth the way to the thread."""

_thread = ThreadPoolExecutor(1, thread_name_prefix="long-texts")


async def read_long(size: int, read: Callable[[], T]) -> T:
    """Return what `read` returns; in the thread, if its text is long.

    Args:
        size: of the text, in bytes or characters.
        read: reads it.
    """
    if size < LONG:
        return read()
    return await asyncio.get_running_loop().run_in_executor(_thread, read)
