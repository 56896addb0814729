"""How the engine's batches form: whoever waits when the model becomes free goes together.

BentoML's own rule learns a waiting time from the traffic, looks at its queue every millisecond, and
lets some of the first requests wait for company that may not come. Here a batch is what arrived
while the one before was computed, and nobody who is alone waits.

Clients that ask again as soon as they are answered fall into two groups that way, of which each
waits for the other's batch. So the model is held for those that it has just answered, for a small
part of the time that this took: if all are back by then they go with those who wait, all in one
batch. If not, it is not tried again for some batches, for twice as many every time.

Who has waited too long is judged by `serving.gateway.admission`, not here.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import Any

from bentoml._internal.marshal import dispatcher

logger = logging.getLogger(__name__)

_SHARE = 0.06
"""Part of a batch's time for which the model may be held after it."""

_LONGEST = 0.1
"""Most seconds of it."""

_MOST_SKIPPED = 63
"""Batches for which no hold is tried, where the ones before were in vain."""


def dispatch_at_once() -> None:
    """Have BentoML's dispatchers follow our rule; in every process that serves batches."""
    found: Any = getattr(dispatcher, "CorkDispatcher", None)
    parts = ("controller", "outbound_call", "_get_inputs", "_wake_event")
    if all(hasattr(found, part) for part in parts):
        found.controller = _controller
    else:
        logger.warning("this BentoML's dispatcher is built otherwise; it keeps its own rule")


class Hold:
    """Decides how long the model is held for those that it has just answered.

    Attributes:
        wanted: how many requests end the hold; fewer than two are never waited for.
        until: when it ends at the latest, by `time.monotonic`.
    """

    def __init__(self) -> None:
        self.wanted, self.until = 0, 0.0
        self._enough = self._skipping = self._skip_next = 0

    def begin(self, answered: int, waiting: int, most: int, seconds: float) -> None:
        """Start one after a batch.

        Args:
            answered: requests in it.
            waiting: requests that came meanwhile.
            most: requests that a batch may have.
            seconds: what it took.
        """
        self.wanted = min(most, answered + waiting)
        self.until = time.monotonic() + min(_LONGEST, _SHARE * seconds)
        self._enough = waiting + (self.wanted - waiting + 1) // 2
        if self._skipping:
            self._skipping -= 1
            self.wanted = 0

    def end(self, waiting: int) -> None:
        """Note how many wait now: it has paid if half of those hoped for came."""
        if self.wanted > 1:
            paid = waiting >= self._enough
            self._skip_next = 0 if paid else min(_MOST_SKIPPED, 2 * self._skip_next + 1)
            self._skipping = self._skip_next
        self.wanted = 0


async def _controller(self: Any) -> None:
    """Run batches one after the other, for ever; takes the place of `CorkDispatcher.controller`."""
    hold = Hold()
    while True:
        await _arrivals(self, 1)
        # Requests that have come in together are all in the queue one turn of the loop later.
        await asyncio.sleep(0)
        if hold.wanted > len(self._queue):
            await _arrivals(self, hold.wanted, hold.until)
        hold.end(len(self._queue))
        started = time.monotonic()
        try:
            # Nobody waits any more for what was cancelled.
            batch = tuple(job for job in self._get_inputs() if not job.future.done())
            if not batch:
                continue
            self._sema.acquire()  # `outbound_call` gives it back
            # Fails its requests by itself, whatever happens.
            await self.outbound_call(batch)
        except Exception:
            logger.exception("a batch was lost")
            continue
        seconds = time.monotonic() - started
        hold.begin(len(batch), len(self._queue), self.max_batch_size, seconds)


async def _arrivals(self: Any, requests: int, until: float | None = None) -> None:
    """Wait until so many requests are in the queue, or a time has come."""
    seconds = None if until is None else until - time.monotonic()
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds), self._wake_event:
            await self._wake_event.wait_for(lambda: len(self._queue) >= requests)
