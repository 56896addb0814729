"""Loads a caption server and says what came of it, as JSON. Runs in a process of its own.

    python -m benchmarks.load URL --images DIR --concurrency 16 --seconds 10
    python -m benchmarks.load URL --images DIR --rate 20 --seconds 10

Closed loop: every client asks again as soon as it has its answer. Open loop: requests leave at a
fixed rate, whatever happens, and latency counts from when a request was due.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import aiohttp

WARM_UP_SECONDS = 2.0
"""At the start of every run, not counted."""


@dataclass(frozen=True)
class LoadResult:
    """What one run measured.

    Attributes:
        answers: requests answered with 200 within the counted time.
        failures: requests answered otherwise or not at all.
        seconds: counted time.
        per_second: answers a second.
        p50_ms, p95_ms, p99_ms: latency of the answers.
    """

    answers: int
    failures: int
    seconds: float
    per_second: float
    p50_ms: float
    p95_ms: float
    p99_ms: float


class Load:
    """Sends pictures and notes when each answer came.

    Args:
        url: where pictures are posted, as the multipart field `image`.
        pictures: files' contents, sent in turn.
        fields: further form fields.
    """

    def __init__(self, url: str, pictures: list[bytes], fields: dict[str, str]) -> None:
        self._url, self._pictures, self._fields = url, pictures, fields
        self._turn = 0
        self._done: list[tuple[float, float, bool]] = []  # ended, latency, answered

    async def closed(self, concurrency: int, seconds: float) -> LoadResult:
        """Keep `concurrency` requests in flight."""

        async def client(session: aiohttp.ClientSession, end: float) -> None:
            while time.perf_counter() < end:
                await self._ask(session, time.perf_counter())

        return await self._run(
            seconds,
            lambda session, end: asyncio.gather(
                *(client(session, end) for _ in range(concurrency))
            ),
        )

    async def open(self, rate: float, seconds: float) -> LoadResult:
        """Send `rate` requests a second."""

        async def send(session: aiohttp.ClientSession, end: float) -> None:
            due, waiting = time.perf_counter(), []
            while due < end:
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                waiting.append(asyncio.create_task(self._ask(session, due)))
                due += 1 / rate
            await asyncio.gather(*waiting)

        return await self._run(seconds, send)

    async def _run(
        self, seconds: float, clients: Callable[[aiohttp.ClientSession, float], Awaitable[object]]
    ) -> LoadResult:
        timeout = aiohttp.ClientTimeout(total=300)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
            start = time.perf_counter() + WARM_UP_SECONDS
            await clients(session, start + seconds)
        return self._result(start, seconds)

    async def _ask(self, session: aiohttp.ClientSession, due: float) -> None:
        form = aiohttp.FormData(self._fields)
        picture = self._pictures[self._turn % len(self._pictures)]
        self._turn += 1
        form.add_field("image", picture, filename="picture.jpg", content_type="image/jpeg")
        try:
            async with session.post(self._url, data=form) as response:
                await response.read()
                answered = response.status == 200
        except aiohttp.ClientError:
            answered = False
        now = time.perf_counter()
        self._done.append((now, now - due, answered))

    def _result(self, start: float, seconds: float) -> LoadResult:
        counted = [entry for entry in self._done if start <= entry[0] < start + seconds]
        latencies = sorted(latency * 1000 for _, latency, answered in counted if answered)
        return LoadResult(
            answers=len(latencies),
            failures=len(counted) - len(latencies),
            seconds=seconds,
            per_second=round(len(latencies) / seconds, 3),
            p50_ms=_percentile(latencies, 0.50),
            p95_ms=_percentile(latencies, 0.95),
            p99_ms=_percentile(latencies, 0.99),
        )


def _percentile(ordered: list[float], share: float) -> float:
    if not ordered:
        return float("nan")
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load")
    parser.add_argument("url")
    parser.add_argument("--images", type=Path, required=True, help="folder of JPEG files")
    parser.add_argument("--concurrency", type=int, default=1)
    parser.add_argument("--rate", type=float, help="requests a second: open loop")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--field", action="append", default=[], metavar="NAME=VALUE")
    options = parser.parse_args(arguments)
    pictures = [path.read_bytes() for path in sorted(options.images.glob("*.jpg"))]
    if not pictures:
        parser.error(f"no *.jpg in {options.images}")
    load = Load(options.url, pictures, dict(item.split("=", 1) for item in options.field))
    if options.rate:
        result = asyncio.run(load.open(options.rate, options.seconds))
    else:
        result = asyncio.run(load.closed(options.concurrency, options.seconds))
    sys.stdout.write(json.dumps(asdict(result)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
