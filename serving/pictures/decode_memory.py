"""How much memory pictures may take while they are decoded, all together."""

from __future__ import annotations

import asyncio
from collections import deque


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
