"""Interleaved rounds: every stack does the same task in turn, so that all see the same machine."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Literal

from benchmarks.tools.stack import Done, Stack, Task

logger = logging.getLogger(__name__)


Clock = Literal["wall", "cpu"]
"""`"cpu"` is processor time: with one thread it hardly sees what else a machine is doing."""


def clock_of(run: Done, clock: Clock) -> float:
    """Return a run's time in seconds."""
    return run.seconds if clock == "wall" else run.cpu_seconds


@dataclass
class Measured:
    """One stack's runs of one task, in the order of the rounds."""

    runs: list[Done] = field(default_factory=list)

    def seconds(self, clock: Clock = "wall") -> float:
        """Return the median time of a run."""
        return median(clock_of(run, clock) for run in self.runs)

    def faster_than(self, other: Measured, clock: Clock = "wall") -> float:
        """Return the median over the rounds of how many times as fast this was."""
        pairs = zip(other.runs, self.runs, strict=True)
        return median(clock_of(theirs, clock) / clock_of(own, clock) for theirs, own in pairs)


def measure(
    stacks: Sequence[Stack], tasks: Sequence[Task], seconds: float, least: int = 2
) -> dict[Task, dict[str, Measured]]:
    """Run every task on every stack, round after round.

    The first round warms up and is not counted. A stack begins every round one place later.

    Args:
        stacks: at least one.
        tasks: at least one.
        seconds: begin no further round after that long.
        least: rounds counted even so.
    """
    found = {task: {stack.name: Measured() for stack in stacks} for task in tasks}
    started, turn = time.perf_counter(), 0
    while turn <= least or time.perf_counter() - started < seconds:
        first = turn % len(stacks)
        for task in tasks:
            for stack in (*stacks[first:], *stacks[:first]):
                done = stack.run(task)
                if turn > 0:
                    found[task][stack.name].runs.append(done)
        logger.info("round %d after %.0f s", turn, time.perf_counter() - started)
        turn += 1
    return found
