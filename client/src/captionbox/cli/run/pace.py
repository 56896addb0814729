"""How much is asked for at once: begun as gently as for a slow server, more where it is quick."""

from __future__ import annotations

from captionbox.results import CaptionResult

_REQUESTS = 8
_IN_ONE = 4
"""Pictures in a request: with as many requests, enough to fill an engine's batches."""

_QUICK_SECONDS = 1.0
_SLOW_SECONDS = 5.0


class Pace:
    """Decides how many pictures share a request.

    A request of several pictures takes as long as all of them, and there is a limit to how long
    anybody waits for an answer. So it is one picture at first, and more when answers come quickly.

    Args:
        concurrency: requests in progress at once, one picture in each; None to decide here.
        total: how many pictures there will be, if known: every request gets its part of few.

    Attributes:
        requests: how many are in progress at once.
    """

    def __init__(self, concurrency: int | None, total: int | None = None) -> None:
        self.requests = concurrency or _REQUESTS
        self._most = 1 if concurrency else _IN_ONE
        self._size, self._left = 1, total

    def size(self) -> int:
        """Return how many pictures the next request is to have."""
        size = self._size
        if self._left is not None:
            size = max(1, min(size, self._left // (2 * self.requests)))
            self._left -= size
        return size

    def see(self, result: CaptionResult | None) -> None:
        """Look at an answer."""
        if result is None:
            return
        seconds = (result.timing_ms.queue + result.timing_ms.inference) / 1000
        if seconds <= _QUICK_SECONDS:
            self._size = min(self._most, 2 * self._size)
        elif seconds > _SLOW_SECONDS:
            self._size = max(1, self._size // 2)
