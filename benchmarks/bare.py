"""The model alone, one batch after the other: what a server around it can reach at best.

    python -m benchmarks.bare MODEL_DIRECTORY fp32|bf16|int8 --images DIR --batch 16 --seconds 10

Pictures are decoded before the clock starts. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from statistics import median
from typing import get_args

import numpy as np
import torch

from models.api.device import Backend
from models.api.options import CaptionOptions
from models.registry import load_captioner
from serving.pictures.images import decode


def main() -> int:
    """Run the loop; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bare")
    parser.add_argument("directory", type=Path)
    parser.add_argument("precision")
    parser.add_argument("--backend", choices=get_args(Backend), default="torch")
    parser.add_argument("--images", type=Path, required=True, help="folder of JPEG files")
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--seconds", type=float, default=10)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    captioner = load_captioner(options.directory, options.precision, options.backend)
    files = sorted(options.images.glob("*.jpg"))
    pictures = [decode(path.read_bytes(), captioner.preprocess, 10**9)[0] for path in files]
    turns = [
        np.stack([pictures[(first + i) % len(pictures)] for i in range(options.batch)])
        for first in range(len(pictures))
    ]
    captioner.caption(turns[0], CaptionOptions())
    times: list[float] = []
    started, cpu_started = time.perf_counter(), time.process_time()
    while time.perf_counter() - started < options.seconds:
        began = time.perf_counter()
        captioner.caption(turns[len(times) % len(turns)], CaptionOptions())
        times.append(time.perf_counter() - began)
    captions = options.batch * len(times)
    result = {
        "per_second": captions / (time.perf_counter() - started),
        "cpu_ms": 1000 * (time.process_time() - cpu_started) / captions,
        "p50_ms": 1000 * median(times),
    }
    sys.stdout.write(json.dumps(result) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
