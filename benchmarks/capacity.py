"""How many captions a core makes, over HTTP and as a data set, and what a million pictures cost.

    python -m benchmarks.capacity --images DIR --out DIR [--model DIR] [--precision fp32]
    python -m benchmarks.capacity --images DIR --out DIR --check 10000

Runs the job of `jobs/caption_dataset.py` and a real server on 1, 2 and 4 cores and prints a table.
`--check` captions that many pictures on all cores and holds the time that follows from an earlier
run, in `--out`, against the measured one.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx

from benchmarks.tools.usage import Usage
from tests.server import ROOT, Server, environment, install

logger = logging.getLogger(__name__)

CORES = (1, 2, 4)
PICTURES_A_CORE = 500
HTTP_SECONDS = 12
CLIENTS_A_CORE = 8
TOLERANCE = 0.2

_COUNT = re.compile(r"^(?:done: )?([\d,]+)(?: of [\d,]+)? pictures, .*a second")


@dataclass(frozen=True)
class Run:
    """What one run showed.

    Attributes:
        way: `job` or `http`.
        cores: that it could use.
        pictures: captioned.
        per_second: captions a second, from the first on.
        cpu_ms: processor time of a caption, without the start.
        start_s: seconds from the command to the first captions.
        worker_mib: memory of one captioning process.
        bytes_in, bytes_out: of a picture's file, and of what is answered or written for it.
        total_s: seconds from the command to its end.
    """

    way: str
    cores: int
    pictures: int
    per_second: float
    cpu_ms: float
    start_s: float
    worker_mib: float
    bytes_in: float
    bytes_out: float
    total_s: float


@contextmanager
def on_cores(count: int) -> Iterator[None]:
    """Have what is started meanwhile use the first `count` cores only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Bench:
    """Runs one model.

    Args:
        pictures: files, captioned over and over where more are wanted.
        home: BENTOML_HOME whose store holds the model as `compact`.
        precision: what it computes in.
        scratch: folder for what passes.
    """

    def __init__(self, pictures: Sequence[Path], home: Path, precision: str, scratch: Path) -> None:
        self._pictures, self._home = pictures, home
        self._precision, self._scratch = precision, scratch
        self._bytes_in = sum(path.stat().st_size for path in pictures) / len(pictures)

    def job(self, cores: int, count: int) -> Run:
        """Caption `count` pictures with the job."""
        folder = Path(tempfile.mkdtemp(dir=self._scratch))
        pictures, output = folder / "pictures", folder / "out.parquet"
        pictures.mkdir()
        for number in range(count):
            source = self._pictures[number % len(self._pictures)]
            (pictures / f"{number}{source.suffix}").symlink_to(source.resolve())
        command = ("--input", str(pictures), "--output", str(output))
        marks: list[tuple[float, int, float]] = []  # seconds, pictures, processor seconds
        began = time.monotonic()
        with (
            on_cores(cores),
            subprocess.Popen(
                [
                    *(sys.executable, "jobs/caption_dataset.py", *command),
                    *("--precision", self._precision),
                ],
                cwd=ROOT,
                # Ray would give way to all else on the machine, as the server does not.
                env={**environment(self._home), "RAY_worker_niceness": "0"},
                stderr=subprocess.PIPE,
                text=True,
            ) as process,
            Usage(process.pid, "MapWorker") as usage,
        ):
            for line in process.stderr or ():
                if found := _COUNT.match(line):
                    done = int(found[1].replace(",", ""))
                    marks.append((time.monotonic() - began, done, usage.cpu_seconds))
                    logger.info("job, %d cores: %s", cores, line.strip())
        if process.returncode or len(marks) < 2:
            raise RuntimeError(f"the job ended with {process.returncode}")
        (start, first, cpu_before), (end, last, cpu_after) = marks[0], marks[-1]
        written = sum(path.stat().st_size for path in output.glob("part-*"))
        return Run(
            way="job",
            cores=cores,
            pictures=last,
            per_second=(last - first) / (end - start),
            cpu_ms=(cpu_after - cpu_before) / (last - first) * 1000,
            start_s=start - first / ((last - first) / (end - start)),
            worker_mib=usage.worker_mib,
            bytes_in=self._bytes_in,
            bytes_out=written / last,
            total_s=time.monotonic() - began,
        )

    def http(self, cores: int) -> Run:
        """Have as many clients as the server needs post pictures for a while."""
        log = self._scratch / f"server-{cores}.log"
        settings = {"threads": str(cores), "precision": self._precision}
        server = Server(self._home, log, settings=settings)
        with on_cores(cores):
            server.start()
        try:
            image = self._pictures[0].read_bytes()
            answer = httpx.post(f"{server.url}/caption", files={"image": image}, timeout=60)
            with Usage(server.pid, "captionbox-engine") as usage:
                before = usage.cpu_seconds
                load = self._load(server.url, CLIENTS_A_CORE * cores)
                cpu = usage.cpu_seconds - before
        finally:
            server.stop()
        # The load's warm-up costs too, and is not counted among its answers.
        answers = load["answers"] * (1 + 2 / load["seconds"])
        return Run(
            way="http",
            cores=cores,
            pictures=int(load["answers"]),
            per_second=load["per_second"],
            cpu_ms=cpu / answers * 1000,
            start_s=server.started_in,
            worker_mib=usage.worker_mib,
            bytes_in=self._bytes_in,
            bytes_out=float(len(answer.content)),
            total_s=load["seconds"],
        )

    def _load(self, url: str, clients: int) -> dict[str, float]:
        folder = Path(tempfile.mkdtemp(dir=self._scratch))
        for path in self._pictures[:500]:
            (folder / path.name).symlink_to(path.resolve())
        command = ["--images", str(folder), "--concurrency", str(clients)]
        done = subprocess.run(
            [
                *(sys.executable, "-m", "benchmarks.tools.load", f"{url}/caption"),
                *(*command, "--seconds", str(HTTP_SECONDS)),
            ],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        )
        result: dict[str, float] = json.loads(done.stdout)
        logger.info("http, %d clients: %.1f/s", clients, result["per_second"])
        return result


def table(runs: Sequence[Run]) -> str:
    """Return the runs as a Markdown table, and what a million pictures take of each."""
    lines = [
        "| way | cores | captions/s | CPU ms a caption | MiB a worker | start s | KB in, out "
        "| 1 M pictures: hours | core-hours |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for run in runs:
        hours = predict(run, 1_000_000) / 3600
        lines.append(
            f"| {run.way} | {run.cores} | {run.per_second:.1f} | {run.cpu_ms:.1f} "
            f"| {run.worker_mib:.0f} | {run.start_s:.0f} "
            f"| {run.bytes_in / 1000:.1f}, {run.bytes_out / 1000:.2f} "
            f"| {hours:.1f} | {run.cpu_ms * 1e6 / 1000 / 3600:.1f} |"
        )
    return "\n".join(lines)


def predict(run: Run, pictures: int) -> float:
    """Return the seconds that a run of so many pictures takes, by what a shorter one showed."""
    return run.start_s + pictures / run.per_second


def main() -> int:
    """Run the benchmark; return its exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--images", type=Path, required=True, help="folder of pictures")
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    parser.add_argument("--model", type=Path, default=ROOT / "models/weights/compact")
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16", "int8"))
    parser.add_argument("--check", type=int, metavar="PICTURES")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    given.out.mkdir(parents=True, exist_ok=True)
    results = given.out / f"capacity-{given.precision}.json"
    pictures = sorted(path for path in given.images.iterdir() if path.is_file())
    cores = [count for count in CORES if count <= len(os.sched_getaffinity(0))]
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch) / "home"
        home.mkdir()
        install(home, given.model)
        bench = Bench(pictures, home, given.precision, Path(scratch))
        if given.check is None:
            runs = []
            for count in cores:
                runs += [bench.job(count, PICTURES_A_CORE * count), bench.http(count)]
                results.write_text(json.dumps([asdict(run) for run in runs], indent=1) + "\n")
            sys.stdout.write(table(runs) + "\n")
            return 0
        runs = [Run(**run) for run in json.loads(results.read_text())]
        known = max((run for run in runs if run.way == "job"), key=lambda run: run.cores)
        expected = predict(known, given.check)
        seen = bench.job(known.cores, given.check)
        took = seen.start_s + seen.pictures / seen.per_second
        sys.stdout.write(
            f"{given.check:,} pictures: {expected:.0f} s expected, {took:.0f} s taken "
            f"({took / expected - 1:+.0%}); CPU {known.cpu_ms:.1f} ms a caption expected, "
            f"{seen.cpu_ms:.1f} ms used ({seen.cpu_ms / known.cpu_ms - 1:+.0%})\n"
        )
        return 0 if abs(took / expected - 1) <= TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main())
