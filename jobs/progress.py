"""Says now and then how far a job is and how fast it goes."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable

logger = logging.getLogger(__name__)

_WINDOW_SECONDS = 30.0


class Progress:
    """Counts and reports.

    Args:
        total: pictures of the input; None where nobody knows.
        before: of them, done by earlier runs.
        every: seconds between reports.
        clock: seconds.
    """

    def __init__(
        self,
        total: int | None,
        before: int,
        every: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total, self._before, self._every, self._clock = total, before, every, clock
        self._done, self._bad = 0, 0
        self._reported = clock()
        self._began: tuple[float, int] | None = None
        self._recent: deque[tuple[float, int]] = deque()

    def update(self, done: int, bad: int) -> None:
        """Take the numbers of this run so far; report if it is time."""
        now = self._clock()
        self._done, self._bad = done, bad
        if self._began is None:
            # Loading the models is not to be counted: from the first captions on.
            self._began = (now, done)
            self._reported = now
        self._recent.append((now, done))
        while self._recent[0][0] < now - _WINDOW_SECONDS:
            self._recent.popleft()
        if now - self._reported >= self._every:
            self._reported = now
            logger.info(self._line())

    def summary(self) -> str:
        """Return what this run has done."""
        return (
            f"{self._done:,} pictures, {self._bad:,} of them bad, "
            f"{self.rate:.1f} a second; {self._before:,} were there before"
        )

    @property
    def rate(self) -> float:
        """Pictures a second since the first came."""
        return _rate(self._began, self._recent[-1]) if self._began and self._recent else 0.0

    def _line(self) -> str:
        rate = _rate(self._recent[0], self._recent[-1])
        done = self._before + self._done
        line = f"{done:,}" if self._total is None else f"{done:,} of {self._total:,}"
        line += f" pictures, {rate:.1f} a second, {self._bad:,} bad"
        if self._total is not None and rate > 0:
            line += f", {_clock_time(max(0, self._total - done) / rate)} left"
        return line


def _rate(start: tuple[float, int], end: tuple[float, int]) -> float:
    return (end[1] - start[1]) / (end[0] - start[0]) if end[0] > start[0] else 0.0


def _clock_time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
