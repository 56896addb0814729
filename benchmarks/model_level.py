"""ViT-GPT2 by itself: our precisions beside transformers and optimum.

python -m benchmarks.model_level [--quick] [--seconds S]
"""

from __future__ import annotations

import argparse
import json
import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.results import markdown
from benchmarks.tools.rounds import Clock, Measured, measure
from benchmarks.tools.stack import TASK_SECONDS, Stack, Task
from benchmarks.tools.workspace import DEFAULT_FOLDER, Workspace
from models.runtimes.formats import formats
from models.runtimes.processor import has_bf16, has_int8
from serving.base.machine import available_cores
from serving.engine.loading import variables

logger = logging.getLogger(__name__)

BASELINE = "transformers fp32"
OURS = "captionbox "
OUR_PROGRAM = "benchmarks.ours"
OPTIMUM = "optimum "

Results = dict[Task, dict[str, Measured]]


def commands(workspace: Workspace, tokens: int) -> dict[str, list[str]]:
    """Return every stack that can run here, the baseline first."""
    checkpoint, length = str(workspace.checkpoint()), ["--tokens", str(tokens)]
    transformers = [sys.executable, "-m", "benchmarks.peers.generate", "transformers", checkpoint]
    found = {
        BASELINE: [*transformers, *length],
        "transformers bf16": [*transformers, "--precision", "bf16", *length],
    }
    ours = [sys.executable, "-m", OUR_PROGRAM, str(workspace.model())]
    precisions = ["fp32", *(["bf16"] if has_bf16() else []), *(["int8"] if has_int8() else [])]
    for precision in precisions:
        found[OURS + precision] = [*ours, precision, *length]
    graphs = workspace.graphs()
    if graphs is not None:
        run = [sys.executable, "-m", OUR_PROGRAM, str(graphs)]
        for precision in formats("openvino"):
            name = f"{OURS}OpenVINO {precision}"
            found[name] = [*run, precision, "--backend", "openvino", *length]
    exports = workspace.exports()
    if exports is not None:
        run = [str(workspace.peers_python), "-m", "benchmarks.peers.generate"]
        for name, runtime, folder, extra in (
            ("ONNX Runtime", "onnxruntime", "onnxruntime-fp32", []),
            ("ONNX Runtime int8", "onnxruntime", "onnxruntime-int8", ["--precision", "int8"]),
            ("OpenVINO", "openvino", "openvino", []),
            ("OpenVINO int8 weights", "openvino", "openvino-int8", []),
        ):
            found[OPTIMUM + name] = [*run, runtime, str(exports / folder), *extra, *length]
    return found


@contextmanager
def running(commands: dict[str, tuple[list[str], int]], logs: Path) -> Iterator[list[Stack]]:
    """Start stacks, each given its command and number of threads; all are ended at the end."""
    stacks: list[Stack] = []
    try:
        for name, (command, threads) in commands.items():
            # Ours as in the engine; others as their users have them.
            ours = OUR_PROGRAM in command
            threads_wait = variables(threads) if ours else {"OMP_NUM_THREADS": str(threads)}
            log = logs / f"{name.replace(' ', '-')}.log"
            stacks.append(Stack(name, command, threads_wait, log))
            logger.info("%s is loaded", name)
        yield stacks
    finally:
        for stack in stacks:
            stack.close()


def table(results: Results, clock: Clock) -> list[list[str]]:
    """Return a header and a row a stack: how many times as fast as the baseline, task by task."""
    names = list(next(iter(results.values())))
    rows = [["stack", *(_title(task) for task in results), "peak memory"]]
    for name in names:
        row = [name]
        for task, measured in results.items():
            own, baseline = measured[name], measured[BASELINE]
            cell = f"{own.faster_than(baseline, clock):.2f}"
            if name == BASELINE:
                cell = f"1 ({own.seconds(clock) / task.batch * 1000:.0f} ms)"
            row.append(cell)
        peak = max(run.peak_mb for measured in results.values() for run in measured[name].runs)
        rows.append([*row, f"{peak / 1000:.1f} GB"])
    return rows


def _title(task: Task) -> str:
    kind = "greedy" if task.beams == 1 else f"{task.beams} beams"
    return f"{kind}, batch {task.batch}"


def summary(results: Results, clock: Clock) -> dict[str, dict[str, float]]:
    """Return, per task, what the targets are about.

    `best` and `fp32` are ours, of either backend, against the baseline, `peers` our best against
    the best of optimum, `same_tokens` the share of the baseline's tokens that this fp32 gave too.
    """
    found: dict[str, dict[str, float]] = {}
    for task, measured in results.items():
        baseline = measured[BASELINE]
        ours = [name for name in measured if name.startswith(OURS)]
        best, reference = (
            max(names, key=lambda name: measured[name].faster_than(baseline, clock))
            for names in (ours, [name for name in ours if name.endswith("fp32")])
        )
        entry = {
            "best": measured[best].faster_than(baseline, clock),
            "fp32": measured[reference].faster_than(baseline, clock),
            "same_tokens": _share(measured[reference], baseline),
        }
        peers = [name for name in measured if name.startswith(OPTIMUM)]
        if peers:
            entry["peers"] = min(
                measured[best].faster_than(measured[name], clock) for name in peers
            )
        found[_title(task)] = {key: round(value, 3) for key, value in entry.items()}
    return found


def _ratios(measured: dict[str, Measured], clock: Clock) -> list[float]:
    baseline = measured[BASELINE]
    return [round(own.faster_than(baseline, clock), 3) for own in measured.values()]


def _share(own: Measured, other: Measured) -> float:
    pairs = [
        pair
        for mine, theirs in zip(own.runs[0].tokens, other.runs[0].tokens, strict=True)
        for pair in zip(mine, theirs, strict=True)
    ]
    return sum(mine == theirs for mine, theirs in pairs) / len(pairs)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.model_level")
    parser.add_argument("--quick", action="store_true", help="batch 1 and 8 only")
    parser.add_argument("--seconds", type=float, help="how long, loading aside")
    parser.add_argument("--rounds", type=int, default=2, help="at least, however long it takes")
    parser.add_argument("--batches", type=int, nargs="+")
    parser.add_argument("--beams", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--only", help="stacks whose name this regular expression finds")
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--threads", type=int, default=available_cores())
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--tiny", action="store_true", help="a network that takes milliseconds")
    parser.add_argument("--folder", type=Path, default=DEFAULT_FOLDER)
    parser.add_argument("--without-optimum", action="store_true")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    workspace = Workspace(options.folder, options.tiny)
    if options.without_optimum:
        workspace = Workspace(options.folder, options.tiny, None)
    batches = options.batches or ([1, 8] if options.quick else [1, 4, 8, 16])
    seconds = options.seconds
    if seconds is None:
        seconds = 200 if options.quick else 1100
    stacks = commands(workspace, options.tokens)
    if options.only:
        wanted = re.compile(f"{options.only}|{BASELINE}|{OURS}fp32")
        stacks = {name: command for name, command in stacks.items() if wanted.search(name)}
    side, turn = workspace.side, 0.0 if options.tiny or options.quick else TASK_SECONDS
    tasks = [Task(batch, beams, side, turn) for beams in options.beams for batch in batches]
    started = {name: (command, options.threads) for name, command in stacks.items()}
    with running(started, workspace.logs) as processes:
        results = measure(processes, tasks, seconds, options.rounds)
    names = list(next(iter(results.values())))
    found: dict[str, Any] = {
        "run": {
            "tokens": options.tokens,
            "threads": options.threads,
            "clock": options.clock,
            "turn_seconds": turn,
            "rounds": len(next(iter(results.values()))[BASELINE].runs),
        },
        "names": names,
        "ratios": {_title(task): _ratios(results[task], options.clock) for task in results},
        "rows": table(results, options.clock),
        "summary": summary(results, options.clock),
    }
    path = workspace.folder / "model_level.json"
    path.write_text(json.dumps(found, indent=1), encoding="utf-8")
    sys.stdout.write(markdown(found["rows"]) + "\n")
    for title, entry in found["summary"].items():
        sys.stdout.write(f"{title}: {entry}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
