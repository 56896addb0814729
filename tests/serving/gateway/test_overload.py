"""A real server with a slow model and a short line: who is served, refused, dropped."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families

from tests.asking import check
from tests.drawings import NAMES, caption_of, draw, encode
from tests.faults import RAISING, SLOW, SLOW_SECONDS
from tests.server import Server

LIMIT = 12
IN_ENGINE = 4


def plain(colour: tuple[int, int, int]) -> bytes:
    return encode(Image.new("RGB", (48, 48), colour))


@pytest.fixture(scope="module")
def slow(bentoml_home: Path, start_server: Callable[..., Server]) -> Server:
    """Return a server that takes `SLOW_SECONDS` for a batch of two, and logs JSON."""
    return start_server(
        bentoml_home,
        what="tests.faults:Captioner",
        max_batch_size="2",
        max_concurrency=str(LIMIT),
        log_format="json",
    )


def sample(server: Server, name: str, **labels: str) -> float:
    """Return the value of a metric's sample, 0 where it is not there."""
    text = httpx.get(f"{server.url}/metrics", timeout=10).text
    for family in text_string_to_metric_families(text):
        for found in family.samples:
            if found.name == name and labels.items() <= found.labels.items():
                return found.value
    return 0.0


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, "it did not happen"
        time.sleep(0.05)


async def ask(client: httpx.AsyncClient, image: bytes, **fields: str) -> httpx.Response:
    return await client.post("/caption", files={"image": image}, data=fields)


def access_log(server: Server) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in server.log.read_text().splitlines() if line[:1] == "{"]
    return [line for line in lines if line["logger"] == "serving.http.access"]


def test_beyond_the_limit_everyone_is_refused_cleanly_and_the_others_are_served(
    slow: Server,
) -> None:
    async def everyone() -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=40)
        async with httpx.AsyncClient(base_url=slow.url, timeout=60, limits=limits) as client:
            return await asyncio.gather(*(ask(client, plain(SLOW)) for _ in range(40)))

    answers = asyncio.run(everyone())
    statuses = Counter(answer.status_code for answer in answers)
    assert set(statuses) == {200, 429}, statuses
    assert statuses[200] >= LIMIT
    refused = [answer for answer in answers if answer.status_code == 429]
    for answer in refused:
        check(answer, 429, "too-many-requests")
        assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert httpx.get(f"{slow.url}/v1/models").status_code == 200
    # By now the rate is measured: two pictures in half a second, give or take the machine.
    answers = asyncio.run(everyone())
    waits = {int(a.headers["retry-after"]) for a in answers if a.status_code == 429}
    slowest = LIMIT / (2 / SLOW_SECONDS)
    assert waits and min(waits) >= round(slowest * 0.9), "refused before the line was worked off"
    assert sample(slow, "captionbox_images_in_progress") == 0


def test_who_leaves_the_line_is_dropped_before_inference(slow: Server) -> None:
    def captioned() -> float:
        return sample(slow, "captionbox_images_captioned_total", model="compact")

    async def leave() -> None:
        async with httpx.AsyncClient(base_url=slow.url, timeout=60) as client:
            staying = [asyncio.create_task(ask(client, plain(SLOW))) for _ in range(IN_ENGINE)]
            await asyncio.sleep(0.2)
            leaving = [asyncio.create_task(ask(client, plain(SLOW), id="leaver")) for _ in range(4)]
            await asyncio.sleep(0.2)
            staying.append(asyncio.create_task(ask(client, encode(draw("red ring")))))
            await asyncio.sleep(0.2)
            for task in leaving:
                task.cancel()
            answers = await asyncio.gather(*staying)
            assert [answer.status_code for answer in answers] == [200] * (IN_ENGINE + 1)
            text = answers[-1].json()["captions"][0]["text"]
            assert text == caption_of("red ring")

    before, logged = captioned(), len(access_log(slow))
    asyncio.run(leave())
    wait_for(lambda: sample(slow, "captionbox_images_in_progress") == 0)
    done = captioned() - before
    assert IN_ENGINE + 1 <= done < IN_ENGINE + 5, f"{done:.0f} captioned"
    wait_for(lambda: len(access_log(slow)) >= logged + IN_ENGINE + 5)
    statuses = Counter(line["status"] for line in access_log(slow)[logged:])
    assert statuses[499] >= 1 and statuses[200] >= IN_ENGINE + 1
    assert "Traceback" not in slow.tail()


def test_a_poisoned_picture_never_fails_its_neighbours(slow: Server) -> None:
    """Pictures that make the model raise share batches with good ones."""

    async def mixed() -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=slow.url, timeout=60) as client:
            images = [plain(RAISING) if n % 3 == 0 else encode(draw(NAMES[n])) for n in range(12)]
            return await asyncio.gather(*(ask(client, image) for image in images))

    before = sample(slow, "captionbox_images_per_batch_count", model="compact")
    answers = asyncio.run(mixed())
    for number, answer in enumerate(answers):
        if number % 3 == 0:
            check(answer, 500, "internal-error")
            assert "poison" not in answer.text
        else:
            assert answer.json()["captions"][0]["text"] == caption_of(NAMES[number])
    assert sample(slow, "captionbox_images_per_batch_count", model="compact") > before


def test_every_request_has_one_json_line(slow: Server) -> None:
    with httpx.Client(base_url=slow.url, timeout=30) as client:
        for number, path in enumerate(("/caption", "/caption", "/nowhere", "/v1/models")):
            headers = {"X-Request-ID": f"line-{number}", "Authorization": "Bearer secret-key"}
            if number == 0:
                client.post(path, files={"image": plain(SLOW)}, headers=headers)
            elif number == 1:
                client.post(path, files={"image": b"no picture"}, headers=headers)
            else:
                client.get(path, params={"q": "private"}, headers=headers)
        client.get("/livez")
    wait_for(lambda: any(line["id"] == "line-3" for line in access_log(slow)))
    lines = {line["id"]: line for line in access_log(slow) if line["id"].startswith("line-")}
    wanted = {
        "line-0": ("POST", "/caption", 200, "compact", 1),
        "line-1": ("POST", "/caption", 415, "compact", 1),
        "line-2": ("GET", "/nowhere", 404, None, 0),
        "line-3": ("GET", "/v1/models", 200, None, 0),
    }
    for name, values in wanted.items():
        line = lines[name]
        found = tuple(line[field] for field in ("method", "route", "status", "model", "images"))
        assert found == values
        assert line["ms"] > 0 and line["level"] == "info" and line["time"].endswith("Z")
    whole = slow.log.read_text()
    assert "secret-key" not in whole and "private" not in whole and "/livez" not in whole
    plain_lines = [line for line in whole.splitlines() if not line.startswith("{")]
    assert plain_lines == [], "not every line is an object"
