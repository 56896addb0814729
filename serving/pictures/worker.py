"""A process that decodes pictures for the gateway, one after the other, within limits.

    python -m serving.pictures.worker LINK PIXELS LIMITS

`serving.pictures.worker_process` starts it and speaks with it. The system holds the limits, so that
nothing in a picture can get around them: memory by the size of the address space, time by timers
that end the process. It ends as well when the gateway does, and has none of the server's secrets.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from PIL import AvifImagePlugin

from models.pictures.kinds import HEIF, PictureError
from models.pictures.sizing import InputSize
from serving.pictures.open_picture import SMALL_BYTES, OpenPicture, canvas_bytes
from serving.pictures.worker_messages import Answer, Job, Limits

WORKING_BYTES = 64 * 1024 * 1024
"""What decoding may take beside the pixels and two copies of the file: tables, tiles, resizing."""

SMALLEST_SHARE = 0.1
"""Part of the time limit, in processor time, that any picture has; a real one needs a hundredth of
it. So much of its pixels as it has of the most that are read, so much more time it gets."""

READY = b"ready\n"
"""What a worker says once it can decode."""

_MARGIN = 1.25
_PAGE = resource.getpagesize()
_FIRST_TO_GO = "800"
_NO_MEMORY = ("out of memory", "decoder error -9")
_ENDINGS = (signal.SIGALRM, signal.SIGPROF)


def main() -> None:
    """Decode what comes over the link until it ends."""
    *_, link, pixels, limits = sys.argv
    _settle()
    # A gateway that is no more cannot be told anything; there is nothing to do for it either.
    with socket.socket(fileno=int(link)) as connection, suppress(ConnectionError):
        connection.sendall(READY)
        serve(connection, int(pixels), Limits(**json.loads(limits)))


def serve(connection: socket.socket, pixels: int, limits: Limits) -> None:
    """Answer one job after the other, until the other side closes the connection.

    Args:
        connection: where jobs come from.
        pixels: file descriptor of the memory where pixels are left.
        limits: hold for every picture.
    """
    logged, memory = _Kept(), _Memory()
    logging.getLogger().addHandler(logged)
    with connection.makefile("rb") as jobs:
        while line := jobs.readline():
            job = Job(**json.loads(line))
            data = jobs.read(job.size)
            if len(data) < job.size:
                return
            answer = _answer(job, data, pixels, limits, memory)
            del data
            answer = replace(answer, resident=memory.resident(), logged=logged.take())
            connection.sendall(answer.line())


def _answer(job: Job, data: bytes, pixels: int, limits: Limits, memory: _Memory) -> Answer:
    started, needed, room = time.monotonic(), 0, WORKING_BYTES + 2 * len(data)
    try:
        canvas = canvas_bytes(data, limits.max_pixels)
        with memory.limited(room + canvas), _timed(limits) as timer:
            picture = OpenPicture(data, _input_size(job.spec), limits.max_pixels)
            needed = picture.bytes_needed
            if needed > max(SMALL_BYTES, job.room):
                return Answer("needs room", needed)
            timer.extend(picture.pixels)
            room += int(needed * _MARGIN)
            with memory.limited(room):
                found = picture.decode()
    except (PictureError, MemoryError) as error:
        if isinstance(error, PictureError) and not _for_want_of_memory(error):
            return Answer(error.refusal, needed, reason=error.reason)
        text = f"Reading the picture takes more than the {room // 2**20} MiB that it may."
        return Answer("out of memory", needed, reason=text)
    os.pwrite(pixels, found.data, 0)
    seconds = time.monotonic() - started
    return Answer("done", needed, *picture.size, picture.format, seconds)


def _for_want_of_memory(error: PictureError) -> bool:
    """Whether a decoder failed because memory was refused; not all of them say so."""
    return any(words in str(error.__context__) for words in _NO_MEMORY)


@cache
def _input_size(text: str) -> InputSize:
    return cast(InputSize, SimpleNamespace(**json.loads(text)))


class _Memory:
    """What of memory this process takes, and may take."""

    def __init__(self) -> None:
        self._statm = os.open("/proc/self/statm", os.O_RDONLY)
        self._hard = resource.getrlimit(resource.RLIMIT_AS)[1]

    def resident(self) -> int:
        """Return the bytes of it that lie in memory."""
        return self._pages(1) * _PAGE

    @contextmanager
    def limited(self, room: int) -> Iterator[None]:
        """Refuse address space beyond what is taken now and `room` bytes."""
        before = resource.getrlimit(resource.RLIMIT_AS)
        most = self._pages(0) * _PAGE + room
        resource.setrlimit(resource.RLIMIT_AS, (most, self._hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_AS, before)

    def _pages(self, column: int) -> int:
        return int(os.pread(self._statm, 100, 0).split()[column])


class _Timer:
    """Ends this process when a picture has taken too long, whatever it does."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        signal.setitimer(signal.ITIMER_REAL, limits.seconds)
        self.extend(0)

    def extend(self, pixels: int) -> None:
        """Set the processor time to that of a picture of so many pixels."""
        share = SMALLEST_SHARE + pixels / self._limits.max_pixels
        signal.setitimer(signal.ITIMER_PROF, self._limits.seconds * share)

    def stop(self) -> None:
        """The picture is done."""
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)


@contextmanager
def _timed(limits: Limits) -> Iterator[_Timer]:
    timer = _Timer(limits)
    try:
        yield timer
    finally:
        timer.stop()


def _settle() -> None:
    """Make this process fit for its work."""
    # Ctrl+C reaches every process of a terminal, a service manager's SIGTERM every one of a group:
    # the gateway finishes its requests first, and then ends the link.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for ending in _ENDINGS:
        signal.signal(ending, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Where the machine's memory runs out, a picture is lost rather than the server.
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_GO)
    # There are as many workers as cores: decoders' own threads would only cost memory.
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    if HEIF:
        from pillow_heif import options

        options.DECODE_THREADS = 1


class _Kept(logging.Handler):
    """Keeps what is logged, for the gateway's log."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record, formatted."""
        self._lines.append(self.format(record))

    def take(self) -> str:
        """Return what has been logged since the last time."""
        text, self._lines = "\n".join(self._lines), []
        return text


if __name__ == "__main__":
    main()
