"""The runtimes beside each other on a model: captions by torch and by OpenVINO's graphs, in turn.

python -m benchmarks.runtimes MODEL_DIRECTORY [--pictures FOLDER] [--precision fp32 int8]
                              [--processor-time]

Prints milliseconds a picture, the medians of all rounds, for batches of 1 and 8 and widths of the
search of 1, 3 and 5; `OMP_NUM_THREADS` sets the threads of both. `--processor-time` counts what the
threads used instead of what went by: for one thread on a machine that others use too.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import get_args

from models.api import metadata as metadata_module
from models.api.captioner import Captioner
from models.api.device import Backend, Precision
from models.api.options import CaptionOptions
from models.registry import load_captioner
from models.runtimes.pictures import Pixels, draw_pictures, read_pictures

BATCHES, BEAMS = (1, 8), (1, 3, 5)
_SEEN = 16
"""Pictures captioned in a round."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.runtimes")
    parser.add_argument("directory", type=Path, help="a model directory with graphs")
    parser.add_argument("--pictures", type=Path, help="folder of pictures (default: drawn)")
    parser.add_argument("--precision", nargs="+", choices=get_args(Precision), default=["fp32"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--processor-time", action="store_true")
    options = parser.parse_args()
    clock = time.process_time if options.processor_time else time.perf_counter
    spec = metadata_module.read(options.directory).preprocess
    seen = (
        read_pictures(options.pictures, spec)[:_SEEN]
        if options.pictures
        else draw_pictures(spec.height, spec.width, _SEEN)
    )
    backends: tuple[Backend, ...] = get_args(Backend)
    for precision in options.precision:
        ways = [load_captioner(options.directory, precision, backend) for backend in backends]
        sys.stdout.write(
            f"\n{precision}, ms a picture | {' | '.join(backends)} | torch / openvino | same text\n"
            f"|{'---|' * (len(backends) + 3)}\n"
        )
        for batch in BATCHES:
            for beams in BEAMS:
                how = CaptionOptions(num_beams=beams)
                taken = [
                    median(row) for row in _in_turn(ways, seen, batch, how, options.rounds, clock)
                ]
                texts = [[group[0].text for group in way.caption(seen, how)] for way in ways]
                same = sum(one == other for one, other in zip(*texts, strict=True)) / len(seen)
                sys.stdout.write(
                    f"batch {batch}, {beams} beams | "
                    + " | ".join(f"{1000 * seconds / len(seen):.1f}" for seconds in taken)
                    + f" | {taken[0] / taken[1]:.2f} | {same:.0%}\n"
                )
                sys.stdout.flush()


def _in_turn(
    ways: list[Captioner],
    seen: Pixels,
    batch: int,
    how: CaptionOptions,
    rounds: int,
    clock: Callable[[], float],
) -> list[list[float]]:
    """Return, per captioner, the seconds of every round; the first, which warms up, left out."""
    found: list[list[float]] = [[] for _ in ways]
    for _ in range(rounds + 1):
        for way, seconds in zip(ways, found, strict=True):
            began = clock()
            for first in range(0, len(seen), batch):
                way.caption(seen[first : first + batch], how)
            seconds.append(clock() - began)
    return [seconds[1:] for seconds in found]


if __name__ == "__main__":
    main()
