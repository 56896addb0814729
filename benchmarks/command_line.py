"""How much of a server `captionbox caption` uses, next to 16 clients that do nothing else.

    python -m benchmarks.command_line URL [--count 10000] [--rounds 3]

Small pictures over loopback: what a client adds of its own shows most. The load and the command
take turns, so that a machine that is slower for a while is slower for both.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.tools.pictures import draw
from benchmarks.tools.stack import ROOT

logger = logging.getLogger(__name__)

SIDE = 256
CLIENTS = 16
DIFFERENT = 64
"""Different pictures; further files hold the same ones again."""


def write_library(folder: Path, count: int) -> None:
    """Write `count` small pictures."""
    for number in range(count):
        path = folder / f"{number:05}.jpg"
        if number < DIFFERENT:
            draw(SIDE, SIDE, number).save(path, quality=85)
        else:
            path.hardlink_to(folder / f"{number % DIFFERENT:05}.jpg")


def load(url: str, folder: Path, seconds: float) -> float:
    """Return the captions a second of 16 clients."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.tools.load",
        f"{url}/caption",
        "--images",
        str(folder),
    ]
    command += ["--concurrency", str(CLIENTS), "--seconds", str(seconds)]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    rate: float = json.loads(done.stdout)["per_second"]
    return rate


def command_line(url: str, folder: Path, count: int, *more: str) -> float:
    """Return the captions a second of one `captionbox caption`, its start included."""
    out = folder.parent / "out.jsonl"
    out.unlink(missing_ok=True)
    command = [sys.executable, "-m", "captionbox", "caption", str(folder), "--out", str(out)]
    variables = {
        "PYTHONPATH": str(ROOT / "client" / "src"),
        "CAPTIONBOX_BASE_URL": url,
        "CAPTIONBOX_STATE_DIR": str(folder.parent / "state"),
    }
    began = time.perf_counter()
    subprocess.run([*command, *more], env={**os.environ, **variables}, check=True)
    seconds = time.perf_counter() - began
    with out.open(encoding="utf-8") as file:
        written = sum(1 for _ in file)
    if written != count:
        raise RuntimeError(f"{written} of {count} pictures are captioned")
    return count / seconds


def main() -> None:
    """Measure, and print what came of it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=15.0, help="of load by clients")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with TemporaryDirectory() as name:
        few, library = Path(name, "few"), Path(name, "library")
        few.mkdir()
        library.mkdir()
        write_library(few, DIFFERENT)
        write_library(library, given.count)
        rounds = []
        for number in range(given.rounds):
            clients = load(given.url, few, given.seconds)
            ours = command_line(given.url, library, given.count)
            single = command_line(given.url, library, given.count, "--concurrency", "8")
            rounds.append((clients, ours, single))
            logger.info("round %d: %d clients %.1f, command %.1f, one picture a request %.1f",
                        number + 1, CLIENTS, *rounds[-1])  # fmt: skip
    told = {
        "clients": median(clients for clients, _, _ in rounds),
        "command": median(ours for _, ours, _ in rounds),
        "one_a_request": median(single for _, _, single in rounds),
        "share": median(ours / clients for clients, ours, _ in rounds),
    }
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
