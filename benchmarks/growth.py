"""How ViT-GPT2's speed grows with threads, pictures at once and beams, in one precision of ours.

python -m benchmarks.growth [--precision int8] [--threads 1 2 4]
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path

from benchmarks.model_level import OUR_PROGRAM, running
from benchmarks.tools.rounds import Clock, Measured, measure
from benchmarks.tools.stack import TASK_SECONDS, Task
from benchmarks.tools.workspace import DEFAULT_FOLDER, Workspace
from serving.base.machine import available_cores

BATCHES = (1, 2, 4, 8, 16, 32)
BEAMS = (1, 2, 4, 8)
BEAM_BATCH = 4


def table(results: dict[Task, dict[str, Measured]], clock: Clock) -> list[list[str]]:
    """Return captions a second as multiples of the first task's on the first stack."""
    first_task, first = next(iter(results.items()))
    unit = first[next(iter(first))].seconds(clock) / first_task.batch
    rows = [["pictures at once", "beams", *first]]
    for task, measured in results.items():
        cells = [f"{unit * task.batch / own.seconds(clock):.2f}" for own in measured.values()]
        rows.append([str(task.batch), str(task.beams), *cells])
    return rows


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    cores = available_cores()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth")
    parser.add_argument("--precision", choices=("fp32", "bf16", "int8"), default="int8")
    threads = sorted({1, max(1, cores // 2), cores})
    parser.add_argument("--threads", type=int, nargs="+", default=threads)
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES)
    parser.add_argument("--beams", type=int, nargs="+", default=BEAMS)
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--tiny", action="store_true", help="a network that takes milliseconds")
    parser.add_argument("--folder", type=Path, default=DEFAULT_FOLDER)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    workspace = Workspace(options.folder, options.tiny, None)
    command = [sys.executable, "-m", OUR_PROGRAM, str(workspace.model()), options.precision]
    command += ["--tokens", str(options.tokens)]
    side, turn = workspace.side, 0.0 if options.tiny else TASK_SECONDS
    tasks = [Task(batch, 1, side, turn) for batch in options.batches]
    tasks += [Task(BEAM_BATCH, beams, side, turn) for beams in options.beams if beams > 1]
    stacks = {f"{count} thread" + "s" * (count > 1): (command, count) for count in options.threads}
    with running(stacks, workspace.logs) as processes:
        results = measure(processes, tasks, 0, options.rounds)
    found = {
        "precision": options.precision,
        "clock": options.clock,
        "rounds": options.rounds,
        "rows": table(results, options.clock),
    }
    path = workspace.folder / "growth.json"
    path.write_text(json.dumps(found, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
