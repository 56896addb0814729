"""Pictures in a folder as they arrive, each when nobody writes to it any more."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from captionbox.cli.output.endings import UsageError
from captionbox.cli.sources.folders import Exclusions, is_left_out
from captionbox.cli.sources.sources import expand, tidy
from captionbox.images import SUFFIXES

RESCAN_SECONDS = 300.0
"""After which the folder is searched again: systems drop events where there are too many."""

_State = tuple[int, int]


@dataclass
class _Waiting:
    """A picture that may still be written to: as last seen, and since when it looks like that."""

    state: _State | None
    since: float
    not_before: float = 0.0


@dataclass
class Arrivals:
    """The pictures of a folder that nobody has dealt with: those that are there, and new ones.

    Attributes:
        folder: where they arrive.
        recursive: in the folders in it, too.
        excluded: what is left out.
        settle: seconds that a file has to stay as it is to count as complete.
        is_new: tells whether a picture is to be captioned.
    """

    folder: Path
    recursive: bool
    excluded: Exclusions
    settle: float
    is_new: Callable[[str], bool]
    _waiting: dict[str, _Waiting] = field(default_factory=dict)
    _asked: set[str] = field(default_factory=set)

    def there(self) -> list[str]:
        """Return the pictures that are to be captioned now."""
        found = expand(str(self.folder), self.recursive, self.excluded, patterns=False)
        return [source for source in found if self.is_new(source)]

    async def come(self, stop: asyncio.Event) -> AsyncIterator[str]:
        """Yield pictures until `stop`; one that was yielded not again before `done` or `again`.

        Raises:
            UsageError: the folder cannot be watched.
        """
        watcher = asyncio.create_task(self._watch(stop))
        try:
            scanned = -RESCAN_SECONDS
            while not stop.is_set():
                if time.monotonic() - scanned >= RESCAN_SECONDS:
                    self._scan()
                    scanned = time.monotonic()
                for source in self._settled():
                    if stop.is_set():
                        return
                    self._asked.add(source)
                    yield source
                if watcher.done():
                    watcher.result()
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), min(self.settle / 2, 1.0) or 0.05)
        finally:
            watcher.cancel()
            await asyncio.gather(watcher, return_exceptions=True)

    def done(self, source: str) -> None:
        """Take note that a picture has been dealt with."""
        self._asked.discard(source)

    def again(self, source: str, seconds: float) -> None:
        """Let a picture come again, after so many seconds."""
        self._asked.discard(source)
        now = time.monotonic()
        self._waiting[source] = _Waiting(_state(source), now - self.settle, now + seconds)

    def _scan(self) -> None:
        now = time.time()
        for source in self.there():
            state = _state(source)
            if state is None or source in self._waiting:
                continue
            # What has lain there for a while is complete.
            old = now - state[1] / 1e9 >= self.settle
            since = time.monotonic() - (self.settle if old else 0)
            self._waiting[source] = _Waiting(state, since)

    def _settled(self) -> list[str]:
        """Return the pictures that nobody writes to any more, and forget them."""
        now, found = time.monotonic(), []
        for source, seen in list(self._waiting.items()):
            state = _state(source)
            if state is None:
                del self._waiting[source]
            elif state != seen.state:
                seen.state, seen.since = state, now
            elif now - seen.since >= self.settle and now >= seen.not_before:
                if source in self._asked:
                    continue
                del self._waiting[source]
                # An empty file is one that somebody is about to write.
                if state[0] and self.is_new(source):
                    found.append(source)
        return found

    async def _watch(self, stop: asyncio.Event) -> None:
        from watchfiles import Change, awatch

        changes = awatch(
            self.folder,
            watch_filter=None,
            stop_event=stop,
            recursive=self.recursive,
            ignore_permission_denied=True,
        )
        try:
            async with aclosing(changes):
                async for group in changes:
                    for change, path in group:
                        if change is not Change.deleted:
                            self._see(path)
        except (OSError, RuntimeError) as error:
            raise UsageError(f"{self.folder} cannot be watched: {error}") from error

    def _see(self, path: str) -> None:
        """Take note of a file that was written, or a folder that came."""
        inside = os.path.relpath(path, os.path.abspath(self.folder))  # noqa: PTH100
        *folders, name = Path(inside).parts or ("",)
        source = tidy(str(self.folder / inside))
        if any(map(is_left_out, folders)) or self.excluded.cover(source):
            return
        if Path(path).is_dir():
            if self.recursive and not is_left_out(name):
                for one in expand(source, True, self.excluded, patterns=False):
                    self._waiting.setdefault(one, _Waiting(None, time.monotonic()))
        elif not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
            waiting = self._waiting.setdefault(source, _Waiting(None, 0.0))
            waiting.since = time.monotonic()


def _state(source: str) -> _State | None:
    """Return what differs while a file is written; None where it is not there."""
    try:
        found = os.stat(source)  # noqa: PTH116
    except (OSError, ValueError):
        return None
    return found.st_size, found.st_mtime_ns
