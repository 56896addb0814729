"""Decodes pictures in threads, as many at once as cores and memory allow."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from models.api.preprocessing import Pixels, PreprocessSpec
from serving.contract.schemas import ImageInfo
from serving.pictures.images import SMALL_BYTES, OpenPicture, most_bytes


@dataclass(frozen=True)
class Decoded:
    """A decoded picture.

    Attributes:
        pixels: `uint8 [3, H, W]` at the size of the model's spec.
        info: what the picture is.
        seconds: time that the work itself took, waiting left out.
    """

    pixels: Pixels
    info: ImageInfo
    seconds: float


class DecodeMemory:
    """Lets pictures in as long as they fit, in the order they came. Belongs to one event loop.

    Args:
        total: bytes that may be taken at once. What asks for more waits until it is alone.
    """

    def __init__(self, total: int) -> None:
        self._total, self._taken = total, 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def taken(self) -> int:
        """Bytes that are taken now."""
        return self._taken

    async def take(self, size: int) -> int:
        """Wait until `size` bytes are free and take them; return what has to be given back."""
        size = min(size, self._total)
        if not self._waiting and self._taken + size <= self._total:
            self._taken += size
            return size
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back(size)  # its turn came in the same moment
            else:
                self._waiting.remove((size, turn))
                self._admit()
            raise
        return size

    def give_back(self, size: int) -> None:
        """Free what was taken."""
        self._taken -= size
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self._taken + self._waiting[0][0] <= self._total:
            size, turn = self._waiting.popleft()
            self._taken += size
            turn.set_result(None)


class Decoder:
    """Decodes. Belongs to one event loop.

    Memory: small pictures are bounded by the threads, about 30 MB each. The pixels of all larger
    ones together may take as much as one picture of the most pixels in the most expensive format.

    Args:
        max_pixels: most pixels that a picture may have.
        threads: pictures decoded at once.
    """

    def __init__(self, max_pixels: int, threads: int) -> None:
        self._max_pixels = max_pixels
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="decode")
        self._memory = DecodeMemory(most_bytes(max_pixels))

    async def decode(
        self, data: bytes, spec: PreprocessSpec, proceed: Callable[[], None] = lambda: None
    ) -> Decoded:
        """Decode one picture for a model.

        Args:
            data: the file's content.
            spec: the model's input.
            proceed: called in a thread before any work is done; raises if it is not wanted any
                more.

        Raises:
            Problem: 415 or 422, see `serving.pictures.images.OpenPicture`.
        """

        def begin() -> tuple[OpenPicture, Decoded | None]:
            proceed()
            started = time.monotonic()
            picture = OpenPicture(data, spec, self._max_pixels)
            if picture.bytes_needed > SMALL_BYTES:
                return picture, None
            return picture, _decode(picture, started)  # spared a second turn

        def go_on() -> Decoded:
            proceed()
            return _decode(picture, time.monotonic())

        picture, decoded = await asyncio.wrap_future(self._threads.submit(begin))
        if decoded is None:
            size = await self._memory.take(picture.bytes_needed)
            decoded = await self._run(go_on, size)
        return decoded

    def close(self) -> None:
        """Let go of the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[[], Decoded], size: int) -> Decoded:
        """Run `work` in a thread; its memory is given back when it ends, awaited or not."""
        loop = asyncio.get_running_loop()

        def ended(_: Future[Decoded]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(self._memory.give_back, size)

        try:
            job = self._threads.submit(work)
        except RuntimeError:
            self._memory.give_back(size)
            raise
        job.add_done_callback(ended)
        return await asyncio.wrap_future(job)


def _decode(picture: OpenPicture, started: float) -> Decoded:
    pixels, info = picture.decode()
    return Decoded(pixels, info, time.monotonic() - started)
