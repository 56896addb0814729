"""Loads a caption server and says what came of it, as JSON. Runs in a process of its own.

    python -m benchmarks.tools.load URL --images DIR --concurrency 16 --seconds 10
    python -m benchmarks.tools.load URL --images DIR --rate 20 --seconds 10

Closed loop: every client asks again as soon as it has its answer. Open loop: requests leave at a
fixed rate, whatever happens, as the internet does; latency counts from when a request was due, so a
client that falls behind does not flatter the server.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import aiohttp

WARM_UP_SECONDS = 2.0
"""At the start of every run, not counted."""

PATIENCE_SECONDS = 300.0
"""After which a client gives up and closes its connection."""

Kind = Literal["right", "wrong", "refused", "gave up", "failed"]


@dataclass(frozen=True)
class Picture:
    """What is sent, and what must come back.

    Attributes:
        image: the file's content.
        caption: the right answer; empty accepts any.
    """

    image: bytes
    caption: str = ""


@dataclass(frozen=True)
class Answer:
    """How one request went.

    Attributes:
        due: seconds after the run's start at which it was to be sent.
        seconds: from when it was due to its end.
        kind: `right`: 200 with its own picture's caption; `refused`: a 429 or 503 with problem
            details and `Retry-After`; `gave up`: no answer within the client's patience; `wrong`,
            another caption, and `failed`, anything else.
        detail: what came instead.
    """

    due: float
    seconds: float
    kind: Kind
    detail: str = ""

    @property
    def at(self) -> float:
        """Seconds after the run's start at which it ended."""
        return self.due + self.seconds


@dataclass(frozen=True)
class LoadResult:
    """What one run measured.

    Attributes:
        answers: requests answered rightly within the counted time.
        failures: requests answered otherwise or not at all.
        seconds: counted time.
        per_second: answers a second.
        p50_ms, p95_ms, p99_ms: latency of the answers.
        all_answers: requests answered rightly in the whole run, uncounted time too.
    """

    answers: int
    failures: int
    seconds: float
    per_second: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    all_answers: int


class Load:
    """Sends pictures and notes when each answer came.

    Args:
        url: where pictures are posted, as the multipart field `image`.
        pictures: sent in turn; as files' contents alone, any 200 is right.
        fields: further form fields.
        patience: seconds that a client waits.
        warm_up: seconds at the start of a run that are not counted.

    Attributes:
        answers: every request of the latest run, uncounted ones too, in the order of their ends.
    """

    def __init__(
        self,
        url: str,
        pictures: Sequence[bytes | Picture],
        fields: dict[str, str] | None = None,
        *,
        patience: float = PATIENCE_SECONDS,
        warm_up: float = WARM_UP_SECONDS,
    ) -> None:
        self.answers: list[Answer] = []
        self._url, self._fields = url, fields or {}
        self._pictures = [
            picture if isinstance(picture, Picture) else Picture(picture) for picture in pictures
        ]
        self._patience, self._warm_up = patience, warm_up
        self._turn, self._began = 0, 0.0

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
            due = self._began
            async with asyncio.TaskGroup() as group:
                while due < end:
                    await asyncio.sleep(max(0.0, due - time.perf_counter()))
                    group.create_task(self._ask(session, due))
                    due += 1 / rate

        return await self._run(seconds, send)

    async def _run(
        self, seconds: float, clients: Callable[[aiohttp.ClientSession, float], Awaitable[object]]
    ) -> LoadResult:
        timeout = aiohttp.ClientTimeout(total=self._patience)
        # A server may close an idle connection after five seconds, just as it is used again.
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=2)
        self.answers = []
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
            self._began = time.perf_counter()
            await clients(session, self._began + self._warm_up + seconds)
        return summary(self.answers, self._warm_up, self._warm_up + seconds)

    async def _ask(self, session: aiohttp.ClientSession, due: float) -> None:
        picture = self._pictures[self._turn % len(self._pictures)]
        self._turn += 1
        kind, detail = await self._answer(session, picture)
        seconds = time.perf_counter() - due
        self.answers.append(Answer(due - self._began, seconds, kind, detail))

    async def _answer(self, session: aiohttp.ClientSession, picture: Picture) -> tuple[Kind, str]:
        form = aiohttp.FormData(self._fields)
        form.add_field("image", picture.image, filename="picture.jpg", content_type="image/jpeg")
        try:
            async with session.post(self._url, data=form) as response:
                content = await response.read()
                if response.status == 200:
                    return _judge(content, picture.caption)
                clean = (
                    response.status in (429, 503)
                    and response.content_type == "application/problem+json"
                    and int(response.headers["Retry-After"]) > 0
                )
                detail = f"{response.status} {content[:200].decode(errors='replace')}"
                return ("refused" if clean else "failed"), detail
        except TimeoutError:
            return "gave up", ""
        except (aiohttp.ClientError, ValueError, KeyError) as error:
            return "failed", repr(error)


def _judge(content: bytes, wanted: str) -> tuple[Kind, str]:
    if not wanted:
        return "right", ""
    text = json.loads(content)["captions"][0]["text"]
    return ("right", "") if text == wanted else ("wrong", text)


def summary(answers: Sequence[Answer], start: float, end: float) -> LoadResult:
    """Return what ended between two moments, in seconds after a run's start."""
    counted = [answer for answer in answers if start <= answer.at < end]
    latencies = [answer.seconds * 1000 for answer in counted if answer.kind == "right"]
    return LoadResult(
        answers=len(latencies),
        failures=len(counted) - len(latencies),
        seconds=end - start,
        per_second=round(len(latencies) / (end - start), 3),
        p50_ms=round(percentile(latencies, 0.50), 1),
        p95_ms=round(percentile(latencies, 0.95), 1),
        p99_ms=round(percentile(latencies, 0.99), 1),
        all_answers=sum(answer.kind == "right" for answer in answers),
    )


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that a share of all do not exceed; not a number where there are none."""
    ordered = sorted(values)
    if not ordered:
        return float("nan")
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tools.load")
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
