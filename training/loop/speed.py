"""How fast a run goes: pictures a second, and what share of the time it waits for them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PICTURES = "pictures_per_s"
WAIT = "data_wait"
"""Names in the run's log: pictures a second of all processes; share of the time, 0..1."""


class Speed:
    """Counts pictures and seconds between two entries of the log.

    Args:
        processes: that train together, each on as many pictures.
        clock: seconds.
    """

    def __init__(self, processes: int = 1, clock: Callable[[], float] = time.perf_counter) -> None:
        self._processes, self._clock = processes, clock
        self._began = clock()
        self._pictures, self._waited, self._paused = 0, 0.0, 0.0

    def count(self, pictures: int) -> None:
        """Count pictures that are trained on."""
        self._pictures += pictures

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the time within as spent waiting for data."""
        began = self._clock()
        try:
            yield
        finally:
            self._waited += self._clock() - began

    @contextmanager
    def pausing(self) -> Iterator[None]:
        """Leave out the time within: a validation."""
        began = self._clock()
        try:
            yield
        finally:
            self._paused += self._clock() - began

    def take(self) -> dict[str, float]:
        """Return both figures since the last call, by their names; nothing without pictures."""
        now = self._clock()
        seconds = now - self._began - self._paused
        found = {}
        if self._pictures and seconds > 0:
            found[PICTURES] = round(self._pictures * self._processes / seconds, 1)
            found[WAIT] = round(min(1.0, self._waited / seconds), 3)
        self._began, self._pictures, self._waited, self._paused = now, 0, 0.0, 0.0
        return found
