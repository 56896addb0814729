"""How many pictures may be in progress, whose turn it is, and who is refused.

Everything that waits, waits here. The engine's own queue cannot be cancelled, so it is given only
as many pictures as keep it busy; the others stand in line in the gateway, where a request that has
waited too long, or whose client has gone, leaves the line before any work is spent on it.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from starlette.requests import ClientDisconnect

from serving.base import metrics
from serving.base.exchange import Exchange
from serving.base.problems import RETRY_AFTER_SECONDS, Problem
from serving.base.settings import Settings

BATCHES_IN_ENGINE = 2
"""How many full batches each engine process is given: one to work on, one to follow at once."""

_MAX_RETRY_AFTER = 60
_MEMORY_SECONDS = 10.0
_MIN_SECONDS = 0.5


class ServiceRate:
    """Pictures a second that the engine manages when it is kept busy.

    Time in which it had less than a full batch does not count: what it does then says nothing of
    what it can do. The past fades: half of it is forgotten every few seconds of full work.

    Args:
        full: pictures in the engine from which on it counts as busy.
        clock: returns seconds.
    """

    def __init__(self, full: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._full, self._clock = full, clock
        self._busy, self._since = 0, clock()
        self._seconds, self._answered = 0.0, 0.0

    def started(self, weight: int = 1) -> None:
        """Note that the engine was given a picture, or something as much work as `weight`."""
        self._pass_time()
        self._busy += weight

    def ended(self, answered: bool, weight: int = 1) -> None:
        """Note that it gave it back; `answered` says whether with captions."""
        was_full = self._busy >= self._full
        self._pass_time()
        self._busy -= weight
        if was_full and answered:
            self._answered += weight
        if self._seconds > _MEMORY_SECONDS:
            self._seconds /= 2
            self._answered /= 2

    def per_second(self) -> float | None:
        """Return the rate, `None` while there is too little to tell it from."""
        if self._seconds < _MIN_SECONDS or self._answered < self._full:
            return None
        return self._answered / self._seconds

    def _pass_time(self) -> None:
        now = self._clock()
        if self._busy >= self._full:
            self._seconds += now - self._since
        self._since = now


@dataclass(eq=False)
class _Waiter:
    """A picture in the line."""

    exchange: Exchange
    weight: int
    turn: asyncio.Future[None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def client_left(self) -> None:
        if not self.turn.done():
            self.turn.set_exception(ClientDisconnect())


class Admission:
    """Counts the pictures in progress and lines them up for the engine. One event loop.

    Args:
        limit: most pictures in progress, from the last byte of a request to its answer.
        in_engine: most pictures, and texts to match with them, that the engine is given at a time.
        full: pictures that fill a batch of every engine process.
        patience_s: longest time from when a request has been read to its turn.
    """

    def __init__(self, limit: int, in_engine: int, full: int, patience_s: float) -> None:
        self._limit, self._in_engine, self._patience = limit, in_engine, patience_s
        self._in_progress = self._busy = 0
        self._line: deque[_Waiter] = deque()
        self._rate = ServiceRate(min(full, limit))

    @classmethod
    def from_settings(cls, settings: Settings) -> Admission:
        """Return the admission that the settings ask for."""
        full = settings.max_batch_size * (settings.engine_workers or 1)
        return cls(
            settings.max_concurrency,
            BATCHES_IN_ENGINE * full,
            full,
            settings.max_latency_ms / 1000,
        )

    # --- places: how many pictures are in progress ------------------------------------------------

    @contextmanager
    def request(self, exchange: Exchange) -> Iterator[None]:
        """Give a request's places back when it is over; it has none in the beginning."""
        try:
            yield
        finally:
            self._in_progress -= exchange.places
            exchange.places = 0
            self._show()

    def require_room(self, exchange: Exchange) -> None:
        """See to it that there is a place for one picture of a request, without taking it.

        Raises:
            Problem: as `reserve`.
        """
        self._require(exchange, 1 - exchange.places)

    def reserve(self, exchange: Exchange, images: int) -> None:
        """See to it that a request has a place for each of its `images` pictures, or none more.

        A request larger than the limit is let in when nothing else is in progress: it would never
        be otherwise.

        Raises:
            Problem: 429 there are not enough places; 503 the answer would take too long.
        """
        wanted = images - exchange.places
        if wanted <= 0:
            return
        self._require(exchange, wanted)
        exchange.places += wanted
        self._in_progress += wanted
        self._show()

    def _require(self, exchange: Exchange, wanted: int) -> None:
        others = self._in_progress - exchange.places
        if others and self._in_progress + wanted > self._limit:
            detail = f"At most {self._limit} pictures may be in progress at once; try again later."
            raise Problem("too-many-requests", detail, self._advice())
        rate = self._rate.per_second()
        if others and rate and (self._in_progress + wanted) / rate > self._patience:
            raise Problem("overloaded", headers=self._advice())

    def next_image(self, exchange: Exchange) -> None:
        """Count one more picture of a request, with a place for it.

        Raises:
            Problem: as `reserve`.
        """
        self.reserve(exchange, exchange.images + 1)
        exchange.images += 1
        if exchange.images == 1:
            exchange.asked = time.monotonic()

    # --- turns: which pictures the engine is given ------------------------------------------------

    @asynccontextmanager
    async def turn(self, exchange: Exchange, weight: int = 1) -> AsyncIterator[None]:
        """Wait in line, first come, first served; hold a place in the engine inside.

        Args:
            exchange: the request.
            weight: what the engine is given, in pictures, or in texts to match with one picture.

        Raises:
            Problem: 503 it took too long, or the line was dismissed.
            ClientDisconnect: the client has gone meanwhile.
        """
        exchange.require_client()
        # What is more than the engine is ever given at a time goes in alone.
        weight = min(weight, self._in_engine)
        if self._line or not self._fits(weight):
            await self._wait(exchange, weight)
        else:
            self._take(weight)
        answered = False
        try:
            yield
            answered = True
        finally:
            self._busy -= weight
            self._rate.ended(answered, weight)
            self._call_next()
            self._show()

    async def _wait(self, exchange: Exchange, weight: int) -> None:
        waiter = _Waiter(exchange, weight)
        self._line.append(waiter)
        exchange.on_leaving(waiter.client_left)
        self._show()
        try:
            waited = time.monotonic() - exchange.asked
            async with asyncio.timeout(max(0.0, self._patience - waited)):
                await waiter.turn
        except BaseException as error:
            if waiter in self._line:
                self._line.remove(waiter)
                self._call_next()  # what stood behind it may be small enough
            elif waiter.turn.done() and not waiter.turn.cancelled() and not waiter.turn.exception():
                # Its turn had come just then.
                self._busy -= weight
                self._rate.ended(answered=False, weight=weight)
                self._call_next()
            if isinstance(error, TimeoutError):
                raise Problem("overloaded", headers=self._advice()) from None
            raise
        finally:
            exchange.forget(waiter.client_left)
            self._show()

    def _fits(self, weight: int) -> bool:
        return self._busy + weight <= self._in_engine

    def _take(self, weight: int) -> None:
        self._busy += weight
        self._rate.started(weight)

    def _call_next(self) -> None:
        while self._line and self._fits(self._line[0].weight):
            waiter = self._line.popleft()
            if not waiter.turn.done():
                self._take(waiter.weight)
                waiter.turn.set_result(None)

    def dismiss(self, problem: Callable[[], Problem]) -> None:
        """Refuse everyone in the line: there is nothing to wait for."""
        for waiter in self._line:
            if not waiter.turn.done():
                waiter.turn.set_exception(problem())

    # --- what is told about it --------------------------------------------------------------------

    def _advice(self) -> dict[str, str]:
        """Return the header that says when to try again: when the line will be worked off."""
        rate = self._rate.per_second()
        seconds = RETRY_AFTER_SECONDS if rate is None else math.ceil(self._in_progress / rate)
        return {"Retry-After": str(min(max(seconds, 1), _MAX_RETRY_AFTER))}

    def _show(self) -> None:
        metrics.images_in_progress().set(self._in_progress)
        metrics.images_waiting().set(len(self._line))
