"""A stack under measurement: a process of its own that captions pictures when it is told to.

Standard library and numpy only: peers run it in environments that hold none of our packages. One
line of JSON asks, one answers; whatever else a library prints goes to standard error.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[2]

CaptionPixels = Callable[[NDArray[np.uint8], int], Sequence[Sequence[int]]]
"""From pictures `[B, 3, H, W]` and a number of beams (1 is greedy) to each picture's tokens."""


TASK_SECONDS = 1.5
"""How long a task is done over and over, in a turn."""


class StackError(RuntimeError):
    """A stack could not be started, or died."""


@dataclass(frozen=True)
class Task:
    """What a stack is to do.

    Attributes:
        batch: pictures at once.
        beams: 1 is greedy.
        side: width and height of the pictures in pixels.
        seconds: it is done over and over for that long, once at least.
    """

    batch: int
    beams: int
    side: int
    seconds: float = 0.0


@dataclass(frozen=True)
class Done:
    """What came of a task; times are medians of all times it was done but the first, if more.

    The first one wakes up a process that has slept while others had the machine.

    Attributes:
        seconds: wall time, from pixels to tokens.
        cpu_seconds: of all threads of the process.
        tokens: of each picture, the start token left out.
        peak_mb: the most memory the process has held so far, MB.
    """

    seconds: float
    cpu_seconds: float
    tokens: list[list[int]]
    peak_mb: float


def answer(caption: CaptionPixels) -> None:
    """Do tasks from standard input until it ends; called by a stack's own program."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        os.dup2(2, 1)
        out.write("ready\n")
        out.flush()
        for line in sys.stdin:
            task = Task(**json.loads(line))
            shape = (task.batch, 3, task.side, task.side)
            pixels = np.random.default_rng(task.batch).integers(0, 256, shape, dtype=np.uint8)
            times: list[tuple[float, float]] = []
            while not times or sum(wall for wall, _ in times) < task.seconds:
                started, cpu_started = time.perf_counter(), time.process_time()
                tokens = caption(pixels, task.beams)
                wall = time.perf_counter() - started
                times.append((wall, time.process_time() - cpu_started))
            counted = times[1:] or times
            done = Done(
                median(wall for wall, _ in counted),
                median(cpu for _, cpu in counted),
                [[int(token) for token in row] for row in tokens],
                resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            )
            out.write(json.dumps(asdict(done)) + "\n")
            out.flush()


class Stack:
    """A stack's process, seen from the one that measures.

    Args:
        name: how tables call it.
        command: starts the program, which calls `answer`.
        environment: variables besides ours, such as those that set its threads.
        log: where it may say what it likes.

    Raises:
        StackError: it does not start.
    """

    def __init__(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path
    ) -> None:
        self.name, self._log = name, log
        with log.open("w", encoding="utf-8") as stderr:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={
                    **os.environ,
                    **environment,
                    "HF_HUB_OFFLINE": "1",
                    "HF_HUB_DISABLE_TELEMETRY": "1",
                },
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        self._line()

    def run(self, task: Task) -> Done:
        """Have a task done.

        Raises:
            StackError: the process died.
        """
        if self._process.stdin is None:
            raise StackError(f"{self.name} takes no tasks")
        try:
            self._process.stdin.write(json.dumps(asdict(task)) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # its last words are in the log, which `_line` quotes
        return Done(**json.loads(self._line()))

    def close(self) -> None:
        """End the process."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _line(self) -> str:
        line = self._process.stdout.readline() if self._process.stdout is not None else ""
        if not line:
            self._process.wait()
            last = self._log.read_text(encoding="utf-8", errors="replace")[-2000:]
            raise StackError(f"{self.name} ended with {self._process.returncode}:\n{last}")
        return line
