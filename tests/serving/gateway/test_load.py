"""Ten thousand mixed requests on a real server, and twice the load that it can sustain."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import psutil
import pytest
from PIL import Image

from benchmarks.tools.load import Load, Picture, percentile
from tests.drawings import NAMES, draw, encode
from tests.faults import SLOW
from tests.server import Server

pytestmark = [pytest.mark.load, pytest.mark.timeout(3600)]

REQUESTS = 10_000
WARM_UP = 2_500
CONCURRENCY = 32
MAX_UPLOAD = 512 * 1024
DOCUMENTED = (429, 503, 504)

# --- ten thousand mixed requests ------------------------------------------------------------------


@pytest.fixture(scope="module")
def busy(bentoml_home: Path, start_server: Callable[..., Server]) -> Server:
    """Return a server that refuses little, however slow the machine is."""
    return start_server(
        bentoml_home,
        max_upload_mb=str(MAX_UPLOAD / 2**20),
        max_pixels="1e6",
        max_latency_ms="120000",
        timeout_s="240",
    )


OPTIONS: tuple[dict[str, str], ...] = ({}, {"num_beams": "1"}, {"num_captions": "2"})


@dataclass(frozen=True)
class Known:
    """A picture and what the server says about it when nobody else asks, by the options' place."""

    image: bytes
    size: int
    captions: tuple[str, ...]


def known_pictures(server: Server) -> list[Known]:
    """Return pictures in several formats, no two alike, each with its own captions."""
    found = []
    with httpx.Client(base_url=server.url, timeout=120) as client:
        for number, name in enumerate(NAMES):
            for step in range(6):
                size = 64 + number + 16 * step
                fmt = ("PNG", "JPEG", "WEBP", "GIF", "BMP")[(number + step) % 5]
                image = encode(draw(name, size), fmt)
                texts = []
                for options in OPTIONS:
                    response = client.post("/caption", files={"image": image}, data=options)
                    texts.append(response.raise_for_status().json()["captions"][0]["text"])
                found.append(Known(image, size, tuple(texts)))
    return found


@dataclass
class Run:
    """Many requests of every kind; what went wrong is written down.

    Attributes:
        known: the good pictures.
        statuses: how often each kind of request got which status.
        wrong: answers that should not have been.
    """

    server: Server
    known: list[Known]
    session: aiohttp.ClientSession
    chance: random.Random
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def picture(self) -> Known:
        """Return any of the good pictures."""
        return self.chance.choice(self.known)

    def note(self, kind: str, status: int, wanted: int, text: str) -> bool:
        """Note an answer; return whether it is the wanted one. Clean refusals are no mistake."""
        self.statuses[kind, status] += 1
        if status != wanted and status not in DOCUMENTED:
            self.wrong.append(f"{kind}: {status}, wanted {wanted}: {text[:200]}")
        if status >= 400 and '"request_id"' not in text:
            self.wrong.append(f"{kind}: no problem details: {text[:200]}")
        return status == wanted

    async def post(self, path: str, form: aiohttp.FormData | bytes | object) -> tuple[int, str]:
        """Post a form or JSON; return status and body."""
        how = {"data": form} if isinstance(form, (aiohttp.FormData, bytes)) else {"json": form}
        async with self.session.post(self.server.url + path, **how) as response:  # type: ignore[arg-type]
            return response.status, await response.text()

    def check(self, answer: Any, tag: str, sent: Known, options: int = 0) -> None:
        """Check that captions are those of the picture that was sent."""
        image = answer["image"]
        got = (answer["id"], answer["captions"][0]["text"], image["width"], image["height"])
        wanted = (tag, sent.captions[options], sent.size, sent.size)
        if got != wanted:
            self.wrong.append(f"wrong pairing: {got} for {wanted}")

    # each of these makes one request

    async def single(self, tag: str) -> None:
        sent, options = self.picture(), self.chance.choice((0, 0, 1, 2))
        body = form(image=sent.image, id=tag, **OPTIONS[options])
        status, text = await self.post("/caption", body)
        if self.note("single", status, 200, text):
            self.check(json.loads(text), tag, sent, options)

    async def data_url(self, tag: str) -> None:
        sent = self.picture()
        url = "data:image/png;base64," + base64.b64encode(sent.image).decode()
        status, text = await self.post("/caption_url", {"url": url, "id": tag})
        if self.note("data URL", status, 200, text):
            self.check(json.loads(text), tag, sent)

    async def batch(self, tag: str) -> None:
        pictures = [self.picture() for _ in range(self.chance.randint(2, 4))]
        body = form(id=tag)
        broken = self.chance.randrange(len(pictures))
        for number, sent in enumerate(pictures):
            body.add_field(
                "images", sent.image[:60] if number == broken else sent.image, filename="x"
            )
        status, text = await self.post("/caption_batch", body)
        if not self.note("batch", status, 200, text):
            return
        for number, result in enumerate(json.loads(text)["results"]):
            status = result["error"]["status"] if "error" in result else 200
            wanted = 422 if number == broken else 200
            if status == wanted == 200:
                self.check(result, tag, pictures[number])
            elif status != wanted and status not in DOCUMENTED:
                self.wrong.append(f"batch: {result}")

    async def broken(self, tag: str) -> None:
        content, wanted = self.chance.choice(
            (
                (self.picture().image[:60], 422),
                (b"", 422),
                (b"%PDF-1.7 no picture", 415),
                (b"x" * 3000, 415),
            )
        )
        status, text = await self.post("/caption", form(image=content, id=tag))
        self.note("broken", status, wanted, text)

    async def oversized(self, tag: str) -> None:
        if self.chance.random() < 0.5:
            body = form(image=bytes(MAX_UPLOAD + 1), id=tag)
            status, text = await self.post("/caption", body)
            self.note("oversized", status, 413, text)
        else:
            large = encode(Image.new("1", (1200, 900)), "PNG")
            status, text = await self.post("/caption", form(image=large, id=tag))
            self.note("too many pixels", status, 422, text)

    async def bad_option(self, tag: str) -> None:
        fields = self.chance.choice(({"num_beams": "99"}, {"colour": "red"}, {"prompt": "a"}))
        status, text = await self.post("/caption", form(image=self.picture().image, **fields))
        self.note("bad option", status, 422, text)

    async def wrong_route(self, tag: str) -> None:
        url = self.server.url + self.chance.choice(("/nothing", "/captions/", "/caption/x", "/%00"))
        async with self.session.get(url) as response:
            self.note("wrong route", response.status, 404, await response.text())
        async with self.session.put(self.server.url + "/caption", data=b"x") as response:
            self.note("wrong method", response.status, 405, await response.text())

    async def page(self, tag: str) -> None:
        path = self.chance.choice(("/", "/docs.json", "/v1/models", "/livez", "/metrics"))
        async with self.session.get(self.server.url + path) as response:
            self.note("page", response.status, 200, await response.text())

    async def half_sent(self, tag: str) -> None:
        """Leave in the middle of the request."""
        _, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
        writer.write(
            b"POST /caption HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n"
            b"Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n"
        )
        await writer.drain()
        await asyncio.sleep(self.chance.random() / 50)
        writer.transport.abort()
        self.statuses["left while sending", 0] += 1

    async def left_waiting(self, tag: str) -> None:
        """Leave before the answer."""
        try:
            async with asyncio.timeout(self.chance.random() / 20):
                status, text = await self.post("/caption", form(image=self.picture().image))
            self.note("left too late", status, 200, text)
        except TimeoutError:
            self.statuses["left while waiting", 0] += 1

    def mixture(self) -> list[Callable[[str], Awaitable[None]]]:
        weights = {
            self.single: 56,
            self.data_url: 5,
            self.batch: 5,
            self.broken: 8,
            self.oversized: 5,
            self.bad_option: 3,
            self.wrong_route: 3,
            self.page: 3,
            self.half_sent: 5,
            self.left_waiting: 7,
        }
        return self.chance.choices(list(weights), list(weights.values()), k=1)


def form(**fields: str | bytes) -> aiohttp.FormData:
    body = aiohttp.FormData(default_to_multipart=True)
    for name, value in fields.items():
        if isinstance(value, bytes):
            body.add_field(name, value, filename="x")
        else:
            body.add_field(name, value)
    return body


async def run_mixed(server: Server, known: list[Known], requests: int, seed: int) -> Run:
    """Make so many requests, `CONCURRENCY` at a time."""
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=2)
    timeout = aiohttp.ClientTimeout(total=300)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        run = Run(server, known, session, random.Random(seed))
        numbers = iter(range(requests))

        async def client() -> None:
            for number in numbers:
                (request,) = run.mixture()
                try:
                    await request(f"{seed}-{number}")
                except aiohttp.ClientError as error:
                    run.wrong.append(f"{request}: {error!r}")

        await asyncio.gather(*(client() for _ in range(CONCURRENCY)))
    return run


def memory(server: Server) -> dict[str, float]:
    """Return every process's memory in MiB."""
    time.sleep(3)  # what is over is let go of
    top = psutil.Process(server.pid)
    found = {"parent": top.memory_info().rss / 2**20}
    for name in ("captionbox", "captionbox-engine"):
        for number, worker in enumerate(server.workers(name)):
            found[f"{name} {number}"] = worker.memory_info().rss / 2**20
    return found


def test_ten_thousand_mixed_requests(busy: Server) -> None:
    known = known_pictures(busy)
    assert len({picture.captions for picture in known}) > 10, "one caption fits all"
    warm_up = asyncio.run(run_mixed(busy, known, WARM_UP, seed=1))
    assert not warm_up.wrong, warm_up.wrong[:10]
    before = memory(busy)
    began = time.monotonic()
    run = asyncio.run(run_mixed(busy, known, REQUESTS, seed=2))
    seconds = time.monotonic() - began
    after = memory(busy)
    for (kind, status), count in sorted(run.statuses.items()):
        print(f"{kind:20} {status or '-':>4} {count:6}")
    print(f"{REQUESTS / seconds:.0f} requests/s; memory MiB before {before}, after {after}")
    assert not run.wrong, f"{len(run.wrong)} wrong: {run.wrong[:10]}"
    asked = Counter[str]()
    for (kind, status), count in run.statuses.items():
        asked[kind] += count
        assert status < 500 or status in DOCUMENTED
    assert run.statuses["single", 200] > 0.95 * asked["single"], "hardly anyone was served"
    assert before.keys() == after.keys(), "a process is new"
    for process, most in before.items():
        assert after[process] <= 1.1 * most, f"{process} grew from {most:.1f} MiB: {after}"
    assert "Traceback" not in busy.log.read_text()


# --- twice the sustainable load -------------------------------------------------------------------

LIMIT = 32
SECONDS = 60.0
RAMP_SECONDS = 3.0
PEAK_SECONDS = 12.0


def test_twice_the_sustainable_load(
    bentoml_home: Path, start_server: Callable[..., Server]
) -> None:
    """A model that takes its time whatever else the machine does, so that the numbers hold."""
    server = start_server(
        bentoml_home,
        what="tests.faults:Captioner",
        max_batch_size="4",
        max_concurrency=str(LIMIT),
        max_latency_ms="60000",
    )
    pictures = [Picture(encode(Image.new("RGB", (48, 48), SLOW)))]
    calm = Load(f"{server.url}/caption", pictures)
    storm = Load(f"{server.url}/caption", pictures, patience=60.0, warm_up=RAMP_SECONDS)

    def peak() -> float:
        return asyncio.run(calm.closed(LIMIT // 2, PEAK_SECONDS)).per_second

    before = peak()
    memory_before = memory(server)
    under_load = asyncio.run(storm.open(2 * before, SECONDS - RAMP_SECONDS)).per_second
    memory_after = memory(server)
    sustained = (before + peak()) / 2
    kinds = Counter(answer.kind for answer in storm.answers)
    slowest = percentile([a.seconds for a in storm.answers if a.kind == "right"], 0.99)
    print(
        f"peak {sustained:.2f}/s, under twice that {under_load:.2f}/s, "
        f"p99 {slowest:.1f} s, {kinds}, memory MiB before {memory_before}, after {memory_after}"
    )
    assert set(kinds) == {"right", "refused"}, Counter(a.detail for a in storm.answers)
    assert under_load >= 0.9 * sustained
    assert slowest < 2 * LIMIT / under_load, "longer than it takes to work off twice the line"
    for process, most in memory_before.items():
        assert memory_after[process] <= 1.1 * most, f"{process} grew from {most:.1f} MiB"
