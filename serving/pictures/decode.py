"""Decodes pictures in worker processes, as many at once as workers and memory allow."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import cast

from models.api.preprocessing import Pixels, PreprocessSpec
from models.pictures.kinds import PictureError, Refusal
from serving.base.machine import available_cores, available_memory
from serving.base.problems import Problem
from serving.contract.schemas import ImageInfo
from serving.pictures.images import as_problem
from serving.pictures.open_picture import most_bytes
from serving.pictures.worker_messages import Answer, Limits
from serving.pictures.worker_pool import WorkerPool
from serving.pictures.worker_process import COMMAND, DecodeWorker

logger = logging.getLogger(__name__)

WORKER_BYTES = 45 * 1024 * 1024
"""What a worker that has nothing to do takes at most; a test holds it."""

_LARGE_FILE = 1024 * 1024

_SHARE_OF_MEMORY = 8
_GRACE_SECONDS = 5.0
_ENDED_BY = {-signal.SIGALRM: "time", -signal.SIGPROF: "time", -signal.SIGKILL: "killed"}


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

    Memory: small pictures are bounded by the workers, and by what each may take beside the pixels.
    The pixels of all larger ones together may take as much as one picture of the most pixels in
    the most expensive format. One worker is never given a large picture, or a large file.

    Args:
        max_pixels: most pixels that a picture may have.
        workers: large pictures decoded at once; there is one more worker for small ones.
        seconds: longest that decoding one picture may take.
        command: what a worker runs.
    """

    def __init__(
        self, max_pixels: int, workers: int, seconds: float, command: Sequence[str] = COMMAND
    ) -> None:
        self._seconds = seconds
        make = partial(DecodeWorker, Limits(max_pixels, seconds), command)
        self._workers = WorkerPool(workers + 1, make)
        self._large = asyncio.Semaphore(workers)
        self._memory = DecodeMemory(most_bytes(max_pixels))

    def start(self) -> None:
        """Have the first workers ready before there is a picture."""
        self._workers.welcome()

    async def decode(
        self, data: bytes, spec: PreprocessSpec, proceed: Callable[[], None] = lambda: None
    ) -> Decoded:
        """Decode one picture for a model. If this is cancelled, the work ends at once.

        Args:
            data: the file's content.
            spec: the model's input.
            proceed: called before any work is done; raises if it is not wanted any more.

        Raises:
            Problem: 415 or 422, see `OpenPicture`; 422 it takes more time or memory than it may;
                503 there is no worker.
        """
        ask = partial(self._ask, data, spec, proceed)
        async with AsyncExitStack() as held:
            large = len(data) > _LARGE_FILE
            if large:  # already to hand it over takes a worker's time
                await held.enter_async_context(self._large)
            answer, pixels = await ask(0)
            if answer.outcome == "needs room":
                if not large:
                    await held.enter_async_context(self._large)
                held.callback(self._memory.give_back, await self._memory.take(answer.bytes_needed))
                answer, pixels = await ask(answer.bytes_needed)
        if answer.outcome != "done":
            raise _refused(answer)
        info = ImageInfo(width=answer.width, height=answer.height, format=answer.format)
        return Decoded(pixels, info, answer.seconds)

    def close(self) -> None:
        """End the workers."""
        self._workers.close()

    async def _ask(
        self, data: bytes, spec: PreprocessSpec, proceed: Callable[[], None], room: int
    ) -> tuple[Answer, Pixels]:
        """Have a worker decode a picture; another one, if the first was killed from outside.

        That need not be the picture's fault. If it happens again, it probably is.
        """
        try:
            return await self._ask_one(data, spec, proceed, room)
        except _KilledError:
            pass
        try:
            return await self._ask_one(data, spec, proceed, room)
        except _KilledError:
            raise self._lost("crash") from None

    async def _ask_one(
        self, data: bytes, spec: PreprocessSpec, proceed: Callable[[], None], room: int
    ) -> tuple[Answer, Pixels]:
        worker, reason = await self._workers.take(), ""
        try:
            proceed()
            reason = "cancelled"
            async with asyncio.timeout(self._seconds + _GRACE_SECONDS):
                answer, pixels = await worker.ask(data, spec, room)
            reason = "memory" if answer.outcome == "out of memory" else ""
            return answer, pixels
        except TimeoutError:
            reason = "time"  # it could not even be ended by its own timers
            raise self._lost(reason) from None
        except ValueError as error:
            logger.warning("a decoding worker makes no sense: %s", error)
            reason = "crash"
            raise self._lost(reason) from None
        except (OSError, EOFError):
            status = await worker.ended()
            logger.warning("a decoding worker has ended with status %d", status)
            reason = _ENDED_BY.get(status, "crash")
            raise self._lost(reason) from None
        finally:
            if reason:
                self._workers.replace(worker, reason)
            else:
                self._workers.give_back(worker)

    def _lost(self, reason: str) -> Exception:
        """Return what it means for a picture that its worker was lost."""
        if reason == "killed":
            return _KilledError()
        if reason == "time":
            limit = f"{self._seconds:g} s for the largest, less for smaller ones"
            text = f"The picture takes longer to decode than it may: {limit}."
            return Problem("broken-image", text)
        return Problem("broken-image", "The picture is damaged: its data makes the decoder fail.")


def _refused(answer: Answer) -> Problem:
    refusal = "broken" if answer.outcome in ("out of memory", "needs room") else answer.outcome
    return as_problem(PictureError(cast(Refusal, refusal), answer.reason))


def most_workers() -> int:
    """Return how many workers there are by default: one a core, where memory allows it."""
    return max(1, min(available_cores(), available_memory() // _SHARE_OF_MEMORY // WORKER_BYTES))


class _KilledError(Exception):
    """Something outside killed the worker, such as the system for want of memory."""
