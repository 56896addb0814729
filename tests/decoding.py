"""A decoding worker that misbehaves, on files that begin as no picture does.

Run as `python -m tests.decoding EVENTS SMALL_BYTES …` in the place of `serving.pictures.worker`. It
writes down when it decodes, so that tests can tell what went on at once.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from serving.pictures import worker

HANG, SPIN, EAT, ABORT, KILL, KILL_ONCE, BABBLE = (
    b"hang",
    b"spin",
    b"eat",
    b"abort",
    b"kill",
    b"kill once",
    b"babble",
)
"""What a file says that is to be done instead of decoding it. `SPIN` does it in the header."""

SLOWLY = 0.02
"""Seconds that decoding any other picture takes longer here."""


def command(events: Path, small_bytes: int = worker.SMALL_BYTES) -> tuple[str, ...]:
    """Return the command of a worker that notes in the file `events` what it does.

    Args:
        events: made if it is not there.
        small_bytes: what a picture may need without being counted.
    """
    return (sys.executable, "-m", "tests.decoding", str(events), str(small_bytes))


def most_at_once(events: Path) -> int:
    """Return how many pictures were decoded at the same time."""
    steps = [json.loads(line) for line in events.read_text().splitlines()]
    running = most = 0
    for _, step in sorted(steps):
        running += step
        most = max(most, running)
    return most


def main() -> None:
    events, small_bytes = Path(sys.argv[1]), int(sys.argv[2])
    worker.SMALL_BYTES = small_bytes
    inner = worker.OpenPicture
    original = inner.decode

    def note(step: int) -> None:
        with events.open("a") as file:
            file.write(json.dumps([time.monotonic(), step]) + "\n")

    def opened(data: bytes, *arguments: Any) -> Any:
        if data.startswith(SPIN):
            while True:
                pass
        for mark, misbehave in _WAYS.items():
            if data.startswith(mark):
                return _Faulty(partial(misbehave, events))
        return inner(data, *arguments)

    def decode(self: worker.OpenPicture) -> Any:
        note(1)
        try:
            time.sleep(SLOWLY)
            return original(self)
        finally:
            note(-1)

    inner.decode = decode  # type: ignore[method-assign]
    worker.OpenPicture = opened  # type: ignore[assignment, misc]
    worker.main()


class _Faulty:
    bytes_needed = pixels = 1

    def __init__(self, decode: Callable[[], None]) -> None:
        self.decode = decode


def _hang(_: Path) -> None:
    time.sleep(3600)


def _eat(_: Path) -> None:
    bytearray(10**9)


def _abort(_: Path) -> None:
    os.abort()


def _kill(_: Path) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _kill_once(events: Path) -> None:
    told = events.with_suffix(".killed")
    if not told.exists():
        told.touch()
        _kill(events)
    raise worker.PictureError("broken", "it was not killed again")


def _babble(_: Path) -> None:
    os.write(int(sys.argv[-3]), b'{"outcome": "done", "width": "wide"}\n')
    time.sleep(3600)


_WAYS: dict[bytes, Callable[[Path], None]] = {
    HANG: _hang,
    EAT: _eat,
    ABORT: _abort,
    KILL_ONCE: _kill_once,
    KILL: _kill,
    BABBLE: _babble,
}

if __name__ == "__main__":
    main()
