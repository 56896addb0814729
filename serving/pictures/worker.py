"""A process that decodes pictures for the gateway, one after the other, within limits.

    python -m serving.pictures.worker LINK PIXELS LIMITS

`serving.pictures.worker_process` starts it and speaks with it. The system holds the limits, so that
nothing in a picture can get around them: memory by the size of the address space, time by timers
that end the process. It ends as well when the gateway does, and has none of the server's secrets.
"""

from __future__ import annotations

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

from PIL import AvifImagePlugin

from models.api.preprocessing import PreprocessSpec
from serving.base.problems import Problem
from serving.pictures.images import HEIF, SMALL_BYTES, OpenPicture
from serving.pictures.worker_messages import Answer, Job, Limits, read_job, read_limits

WORKING_BYTES = 64 * 1024 * 1024
"""What decoding may take beside the file and the pixels: decoders' tables, tiles, the resize."""

HEADER_SHARE = 0.1
"""Part of the time limit that a header may take, in processor time. No real one takes so long."""

READY = b"ready\n"
"""What a worker says once it can decode."""

_MARGIN = 1.25
_PAGE = resource.getpagesize()
_FIRST_TO_GO = "800"


def main() -> None:
    """Decode what comes over the link until it ends."""
    *_, link, pixels, limits = sys.argv
    _settle()
    with socket.socket(fileno=int(link)) as connection:
        connection.sendall(READY)
        # A gateway that is no more cannot be told anything; there is nothing to do for it either.
        with suppress(ConnectionError):
            serve(connection, int(pixels), read_limits(limits))


def serve(connection: socket.socket, pixels: int, limits: Limits) -> None:
    """Answer one job after the other, until the other side closes the connection.

    Args:
        connection: where jobs come from.
        pixels: file descriptor of the memory where pixels are left.
        limits: hold for every picture.
    """
    logged = _Kept()
    logging.getLogger().addHandler(logged)
    with connection.makefile("rb") as jobs:
        while line := jobs.readline():
            job = read_job(line)
            data = jobs.read(job.size)
            if len(data) < job.size:
                return
            answer = _answer(job, data, pixels, limits)
            del data
            answer = replace(answer, resident=_pages(1) * _PAGE, logged=logged.take())
            connection.sendall(answer.line())


def _answer(job: Job, data: bytes, pixels: int, limits: Limits) -> Answer:
    started, needed, room = time.monotonic(), 0, WORKING_BYTES
    try:
        spec = _spec(job.spec)
        with _limited(room), _timed(signal.ITIMER_PROF, limits.seconds * HEADER_SHARE):
            picture = OpenPicture(data, spec, limits.max_pixels)
        needed = picture.bytes_needed
        if needed > max(SMALL_BYTES, job.room):
            return Answer(needed)
        room += int(needed * _MARGIN)
        with _limited(room), _timed(signal.ITIMER_REAL, limits.seconds):
            found, info = picture.decode()
    except (Problem, MemoryError) as error:
        if isinstance(error, Problem) and not _memory_was_refused(error):
            return Answer(needed, problem=error.type_slug, detail=error.detail)
        detail = f"Reading the picture takes more than the {room // 2**20} MiB that it may."
        return Answer(needed, problem="broken-image", detail=detail, out_of_memory=True)
    os.pwrite(pixels, found.data, 0)
    seconds = time.monotonic() - started
    return Answer(needed, info.width, info.height, info.format, seconds)


@cache
def _spec(text: str) -> PreprocessSpec:
    return PreprocessSpec.model_validate_json(text)


@contextmanager
def _limited(room: int) -> Iterator[None]:
    """Refuse memory beyond what is taken now and `room` bytes."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    most = _pages(0) * _PAGE + room
    resource.setrlimit(resource.RLIMIT_AS, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@contextmanager
def _timed(timer: int, seconds: float) -> Iterator[None]:
    """End this process if what is inside takes longer, whatever it does."""
    signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        signal.setitimer(timer, 0)


def _memory_was_refused(error: BaseException | None) -> bool:
    """Whether an error comes from one that says so."""
    while error is not None:
        if isinstance(error, MemoryError) or "out of memory" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _pages(column: int) -> int:
    """Return this process's pages: 0 for its address space, 1 for what lies in memory."""
    return int(Path("/proc/self/statm").read_bytes().split()[column])


def _settle() -> None:
    """Make this process fit for its work."""
    # Ctrl+C reaches every process of a terminal, a service manager's SIGTERM every one of a group:
    # the gateway finishes its requests first, and then ends the link.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for ending in (signal.SIGALRM, signal.SIGPROF):
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
