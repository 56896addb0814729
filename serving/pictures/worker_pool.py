"""The decoding workers: which are free, who waits for one, which take others' places."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from serving.base import metrics
from serving.base.problems import Problem
from serving.pictures.worker_process import DecodeWorker

logger = logging.getLogger(__name__)

MOST_PICTURES = 2000
"""After so many a worker is replaced, for what libraries may leave behind."""

MOST_RESIDENT = 96 * 1024 * 1024
"""So is one that holds as many bytes when a picture is done: twice what it begins with."""

REASONS = ("cancelled", "crash", "killed", "memory", "recycled", "time")
"""Why workers are replaced; values of the metric's label."""

_AT_REST = 2


class WorkerPool:
    """Lends workers, one at a time to each who asks, in the order they came. Of one event loop.

    Two are there from the beginning; more are started when they are needed, and stay.

    Args:
        count: most workers.
        make: starts one; blocks until the process is there.
    """

    def __init__(self, count: int, make: Callable[[], DecodeWorker]) -> None:
        self._count, self._make = count, make
        self._new = [make() for _ in range(min(count, _AT_REST))]
        self._size = self._coming = len(self._new)
        self._all: set[DecodeWorker] = set(self._new)
        self._idle: list[DecodeWorker] = []
        self._waiting: deque[asyncio.Future[DecodeWorker]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        for reason in REASONS:
            metrics.decode_workers_replaced().labels(reason)  # shown from the beginning

    async def take(self) -> DecodeWorker:
        """Wait for a free worker. It has to be given back, or replaced.

        Raises:
            Problem: 503, there is none and none can be started.
        """
        self.welcome()
        while self._idle:
            worker = self._idle.pop()
            if worker.is_alive:
                return worker
            self.replace(worker, "killed")
        if self._size < self._count and len(self._waiting) >= self._coming:
            self._start()
        turn: asyncio.Future[DecodeWorker] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and not turn.exception():
                self.give_back(turn.result())  # its turn came in the same moment
            raise

    def welcome(self) -> None:
        """Have the first workers lent as soon as they can decode."""
        for worker in self._new:
            self._spawn(self._join(worker))
        self._new.clear()

    def give_back(self, worker: DecodeWorker) -> None:
        """Lend a worker to the next one; or let it go, where another has come in its place."""
        if self._closed:
            return
        if worker.is_leaving:
            self._let_go(worker, "recycled")
            return
        worn = worker.pictures >= MOST_PICTURES or worker.resident >= MOST_RESIDENT
        if worn and not worker.successor_comes:
            worker.successor_comes = True
            self._start(worker)
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(worker)
                return
        self._idle.append(worker)

    def replace(self, worker: DecodeWorker, reason: str) -> None:
        """End a worker that was lent, whatever it does, and start another."""
        if self._closed:
            return
        self._let_go(worker, reason)
        if self._size < min(_AT_REST, self._count) or (self._waiting and self._size < self._count):
            self._start()

    def close(self) -> None:
        """End all workers. Blocks for some milliseconds."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        for turn in self._waiting:
            turn.cancel()
        workers = list(self._all)
        for worker in workers:
            worker.kill()
        for worker in workers:
            worker.close()

    def _start(self, predecessor: DecodeWorker | None = None) -> None:
        self._size += 1
        self._coming += 1
        self._spawn(self._bring(predecessor))

    async def _bring(self, predecessor: DecodeWorker | None) -> None:
        try:
            worker = await asyncio.to_thread(self._made)
        except OSError as error:
            self._failed(error, predecessor)
        else:
            await self._join(worker, predecessor)

    def _made(self) -> DecodeWorker:
        """Make one, in a thread; the pool may have been closed meanwhile."""
        worker = self._make()
        self._all.add(worker)
        if self._closed:
            worker.kill()
            worker.close()
        return worker

    async def _join(self, worker: DecodeWorker, predecessor: DecodeWorker | None = None) -> None:
        try:
            await worker.ready()
        except (OSError, EOFError, ValueError) as error:  # TimeoutError is an OSError
            worker.kill()
            self._all.discard(worker)
            await worker.ended()
            self._failed(error, predecessor)
            return
        if predecessor is not None:
            predecessor.is_leaving = True
            if predecessor in self._idle:
                self._idle.remove(predecessor)
                self._let_go(predecessor, "recycled")
        self._coming -= 1
        self.give_back(worker)

    def _failed(self, error: Exception, predecessor: DecodeWorker | None) -> None:
        """Note that no worker could be started; nobody waits where there is none at all."""
        logger.error("no decoding worker can be started: %s", error)
        self._size -= 1
        self._coming -= 1
        if predecessor is not None:
            predecessor.successor_comes = False
        while self._size == 0 and self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_exception(Problem("not-ready", "No process to decode pictures in."))

    def _let_go(self, worker: DecodeWorker, reason: str) -> None:
        metrics.decode_workers_replaced().labels(reason).inc()
        self._size -= 1
        self._all.discard(worker)
        worker.kill()
        self._spawn(self._bury(worker))

    async def _bury(self, worker: DecodeWorker) -> None:
        await worker.ended()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
