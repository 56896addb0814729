"""What the server does under twice the load it can sustain, with its limits and without.

    python -m benchmarks.overload --out DIR [--seconds 60] [--model DIR]

Starts a real server with the embedded model for each setting. With its limits on, finds its peak in
a closed loop; then asks each twice as often as that in an open loop, and looks for the peak again:
on a machine with other work to do, the peak is the mean of both. Prints a table; writes it, the
numbers and a plot to DIR.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx
import psutil

from benchmarks.tools.load import Answer, Load, Picture, percentile
from serving.base.machine import available_cores
from tests.drawings import NAMES, draw, encode
from tests.server import ROOT, Server, install
from training.export.charts import Point, Timelines, timelines

logger = logging.getLogger(__name__)

SETTINGS: dict[str, dict[str, str]] = {
    "protected": {},
    "unprotected": {
        "max_concurrency": "100000",
        "max_latency_ms": "3600000",
        "timeout_s": "3600",
    },
}
"""The defaults, and limits that limit nothing."""

RAMP_SECONDS = 5.0
"""In which the line fills; not counted."""

PATIENCE_SECONDS = 10.0
PEAK_CLIENTS = (16, 32)

WINDOW_SECONDS = 3.0
"""Over which the plot's rates and percentiles are taken."""

Series = Mapping[str, tuple[Sequence[Answer], Sequence[float]]]
"""By setting, the answers and the memory in MiB, sampled once a second."""


@dataclass(frozen=True)
class Row:
    """One setting's numbers: rates in requests a second, times in seconds, memory in MiB."""

    setting: str
    peaks: tuple[float, float]
    offered: float
    goodput: float
    counts: dict[str, int]
    p50: float
    p99: float
    memory_before: float
    memory_most: float

    @property
    def peak(self) -> float:
        """Mean of the peaks before and after."""
        return sum(self.peaks) / 2

    @property
    def share(self) -> float:
        """Goodput as a share of the peak."""
        return self.goodput / self.peak


class Memory:
    """Samples the memory of a process and all below it, once a second.

    Args:
        pid: of the topmost process.
    """

    def __init__(self, pid: int) -> None:
        self._pid, self._stop = pid, threading.Event()
        self.samples: list[float] = [self._now()]
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(1.0):
            self.samples.append(self._now())

    def _now(self) -> float:
        top = psutil.Process(self._pid)
        processes = [top, *top.children(recursive=True)]
        return sum(process.memory_info().rss for process in processes) / 2**20


def measure(
    server: Server, setting: str, seconds: float, offered: float | None
) -> tuple[Row, list[Answer], list[float]]:
    """Put a server under `offered` requests a second, by default twice its peak."""
    pictures = photographs(server.url)
    caption = f"{server.url}/caption"
    calm = Load(caption, pictures)
    before = find_peak(calm, seconds / 4)
    offered = offered or 2 * before
    logger.info("%s: peak %.1f/s, now %.1f/s for %.0f s", setting, before, offered, seconds)
    load = Load(caption, pictures, patience=PATIENCE_SECONDS, warm_up=RAMP_SECONDS)
    with Memory(server.pid) as memory:
        result = asyncio.run(load.open(offered, seconds - RAMP_SECONDS))
    after = find_peak(calm, seconds / 4)
    served = [answer.seconds for answer in load.answers if answer.kind == "right"]
    row = Row(
        setting=setting,
        peaks=(before, after),
        offered=offered,
        goodput=result.per_second,
        counts=dict(Counter(answer.kind for answer in load.answers)),
        p50=percentile(served, 0.5),
        p99=percentile(served, 0.99),
        memory_before=memory.samples[0],
        memory_most=max(memory.samples),
    )
    return row, load.answers, memory.samples


def find_peak(load: Load, seconds: float) -> float:
    """Return the most right answers a second that some number of clients gets."""
    rates = []
    for clients in PEAK_CLIENTS:
        rates.append(asyncio.run(load.closed(clients, seconds)).per_second)
        logger.info("%d clients: %.1f/s", clients, rates[-1])
    return max(rates)


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table; the rates are shares of the first row's peak."""
    lines = [
        "| setting | peak before, after | offered | right answers | of the peak | right | refused "
        "| gave up | wrong or failed | p50 s | p99 s | memory MiB: before, most |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    unit = rows[0].peak
    for row in rows:
        count = Counter(row.counts)
        lines.append(
            f"| {row.setting} | {row.peaks[0] / unit:.2f}, {row.peaks[1] / unit:.2f} "
            f"| {row.offered / unit:.2f} | {row.goodput / unit:.2f} "
            f"| {row.share:.0%} | {count['right']} | {count['refused']} | {count['gave up']} "
            f"| {count['wrong'] + count['failed']} | {row.p50:.2f} | {row.p99:.2f} "
            f"| {row.memory_before:.0f}, {row.memory_most:.0f} |"
        )
    return "\n".join(lines)


def plot(series: Series, peak: float, seconds: float) -> str:
    """Return answers a second, their times and the memory, one line a setting, as SVG.

    Args:
        series: what was measured.
        peak: answers a second that the server sustains, marked in the first panel.
        seconds: how long the load lasted.
    """
    rates: dict[str, list[Point]] = {}
    times: dict[str, list[Point]] = {}
    memory: dict[str, list[Point]] = {}
    for name, (answers, samples) in series.items():
        right = [answer for answer in answers if answer.kind == "right"]
        rates[name], times[name] = [], []
        for moment in range(1, int(seconds) + 1):
            start = max(0.0, moment - WINDOW_SECONDS)
            found = [answer.seconds for answer in right if start <= answer.at < moment]
            rates[name].append((moment, len(found) / (moment - start)))
            if found:
                times[name].append((moment, percentile(found, 0.99)))
        memory[name] = [(t, value) for t, value in enumerate(samples) if t <= seconds]
    panels = [
        Timelines("right answers a second", rates, ("peak", peak)),
        Timelines("time of right answers, 99th percentile, seconds", times),
        Timelines("memory of all processes, MiB", memory),
    ]
    return timelines("a server under overload, second by second", panels, seconds)


def photographs(url: str) -> list[Picture]:
    """Return drawn pictures of a camera's size, each with what the model says of it alone."""
    found = []
    with httpx.Client(base_url=url, timeout=60) as client:
        for name in NAMES:
            image = encode(draw(name, 1024), "JPEG", quality=90)
            answer = client.post("/caption", files={"image": image}).raise_for_status().json()
            found.append(Picture(image, answer["captions"][0]["text"]))
    return found


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="directory for the results")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the overload")
    parser.add_argument("--model", type=Path, default=ROOT / "models/weights/compact")
    parser.add_argument("--threads", type=int, default=available_cores(), help="of the engine")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    arguments.out.mkdir(parents=True, exist_ok=True)
    rows, series = [], {}
    offered: float | None = None
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch) / "home"
        home.mkdir()
        install(home, arguments.model)
        for setting, values in SETTINGS.items():
            log = arguments.out / f"{setting}.log"
            threads = str(arguments.threads)
            server = Server(home, log, settings={**values, "threads": threads})
            server.start()
            try:
                row, answers, memory = measure(server, setting, arguments.seconds, offered)
            finally:
                server.stop()
            offered = row.offered
            rows.append(row)
            series[setting] = (answers, memory)
    text = table(rows)
    sys.stdout.write(text + "\n")
    (arguments.out / "overload.md").write_text(text + "\n")
    numbers = json.dumps([asdict(row) for row in rows], indent=1)
    (arguments.out / "overload.json").write_text(numbers + "\n")
    (arguments.out / "overload.svg").write_text(plot(series, rows[0].peak, arguments.seconds))


if __name__ == "__main__":
    main()
