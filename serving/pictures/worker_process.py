"""A decoding worker as the gateway sees it: started, asked, ended."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from models.api.preprocessing import Pixels, PreprocessSpec
from serving.pictures.worker import READY
from serving.pictures.worker_messages import Answer, Job, Limits, read_answer

logger = logging.getLogger(__name__)

START_SECONDS = 60.0
"""Far more than a worker takes to start: machines can be busy."""

COMMAND = (sys.executable, "-m", "serving.pictures.worker")
"""What a worker runs; link, memory and limits are named behind it."""

_ROOT = Path(__file__).resolve().parents[2]
_LONGEST_ANSWER = 256 * 1024
_END_SECONDS = 1.0
_SMALL = 256 * 1024
_NO_PIXELS = np.empty((3, 0, 0), np.uint8)

_HANDED_ON = ("PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV")
_PREFIXES = ("LC_", "LD_", "MALLOC_", "PYTHON")
_SMALL_FOOTPRINT = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    "MALLOC_ARENA_MAX": "1",  # each would take 64 MB of the address space, which is limited
    # Else what one large picture took would stay taken.
    "MALLOC_MMAP_THRESHOLD_": str(4 * 1024 * 1024),
    "MALLOC_TRIM_THRESHOLD_": str(16 * 1024 * 1024),
}


class DecodeWorker:
    """One worker process. Belongs to one event loop, but is made outside of it: that blocks.

    Args:
        limits: hold for every picture.
        command: program and arguments that the process runs.

    Attributes:
        pictures: how many it has been given.
        resident: bytes of memory that it held after the last one.
        successor_comes: whether another is being started in its place.
        is_leaving: whether it is to end when its picture is done.

    Raises:
        OSError: there is no process to be had.
    """

    def __init__(self, limits: Limits, command: Sequence[str] = COMMAND) -> None:
        self.pictures, self.resident = 0, 0
        self.successor_comes = self.is_leaving = False
        self._pixels = os.memfd_create("pixels")
        self._link, theirs = socket.socketpair()
        self._link.setblocking(False)
        passed = (theirs.fileno(), self._pixels)
        try:
            self._process = subprocess.Popen(
                [*command, *map(str, passed), limits.line()],
                pass_fds=passed,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        except OSError:
            self._close()
            raise
        finally:
            theirs.close()

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether the process has not ended."""
        return self._process.poll() is None

    async def ready(self) -> None:
        """Wait until it can decode.

        Raises:
            EOFError: it ended instead.
            TimeoutError: it takes too long.
        """
        async with asyncio.timeout(START_SECONDS):
            await self._line(len(READY))

    async def ask(self, data: bytes, spec: PreprocessSpec, room: int) -> tuple[Answer, Pixels]:
        """Have a picture decoded; return what became of it and its pixels, empty if it has none.

        After any error, or if this is cancelled, the worker must not be asked again.

        Args:
            data: the file's content.
            spec: the model's input.
            room: bytes that are set aside for the pixels.

        Raises:
            OSError, EOFError: the process ended.
            ValueError: what it answered makes no sense.
        """
        self.pictures += 1
        line = Job(len(data), _as_json(spec), room).line()
        # Whatever is small is sent as one: the worker wakes up once.
        parts = (line + data,) if len(data) < _SMALL else (line, data)
        for part in parts:
            await asyncio.get_running_loop().sock_sendall(self._link, part)
        answer = read_answer(await self._line(_LONGEST_ANSWER))
        self.resident = answer.resident
        if answer.logged:
            logger.warning("a decoding worker: %s", answer.logged)
        return answer, self._read(spec) if answer.outcome == "done" else _NO_PIXELS

    def kill(self) -> None:
        """End it at once; `ended` has to be awaited, or `close` called, all the same."""
        self._process.kill()

    async def ended(self) -> int:
        """Wait until it has ended, end it if it does not; return minus the signal, or the status.

        Its side of the link has been closed, or it has been killed.
        """
        return await asyncio.to_thread(self.close, _END_SECONDS)

    def close(self, seconds: float = 0.0) -> int:
        """End it and let go of everything; return what ended it, as `ended`. Blocks.

        Args:
            seconds: how long it may take to end by itself.
        """
        try:
            status = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        self._close()
        return status

    async def _line(self, most: int) -> bytes:
        line = bytearray()
        while not line.endswith(b"\n"):
            more = await asyncio.get_running_loop().sock_recv(self._link, 65536)
            if not more:
                raise EOFError("a decoding worker has ended")
            line += more
            if len(line) > most:
                raise ValueError("a decoding worker's answer has no end")
        return bytes(line)

    def _read(self, spec: PreprocessSpec) -> Pixels:
        pixels = np.empty((3, spec.height, spec.width), np.uint8)
        if os.preadv(self._pixels, [pixels.data.cast("B")], 0) < pixels.nbytes:
            raise ValueError("a decoding worker left too few pixels")
        return pixels

    def _close(self) -> None:
        if self._link.fileno() >= 0:
            self._link.close()
            os.close(self._pixels)


@lru_cache(64)
def _as_json(spec: PreprocessSpec) -> str:
    return spec.model_dump_json()


def _environment() -> dict[str, str]:
    """Return what a worker may know of ours: no keys, no addresses."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _HANDED_ON or name.startswith(_PREFIXES)
    }
    roots = filter(None, (str(_ROOT), os.environ.get("PYTHONPATH")))
    return {**kept, **_SMALL_FOOTPRINT, "PYTHONPATH": os.pathsep.join(roots)}
