"""Decoding workers: what exceeds a limit or ends one costs its own picture, and nobody else."""

from __future__ import annotations

import asyncio
import re
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image
from prometheus_client import REGISTRY

from models.api.preprocessing import PreprocessSpec
from serving.base.problems import Problem
from serving.pictures import worker_pool
from serving.pictures.decode import WORKER_BYTES, Decoder
from serving.pictures.images import decode
from tests import decoding
from tests.drawings import draw, encode
from tests.server import ROOT

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

SPEC = PreprocessSpec(height=48, width=64)
MAX_PIXELS = 50_000_000
GOOD = encode(draw("red ring", 200), "JPEG")
LIMIT_S = 2.0
"""Far more than `GOOD` takes, even on a busy machine; a header may take a tenth."""

Test = Callable[[Decoder], Coroutine[Any, Any, None]]


@pytest.fixture
def try_with(tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Return a function that runs a test with a decoder whose workers can be made to misbehave."""
    pids: set[int] = set()

    def run(test: Test, workers: int = 1, seconds: float = LIMIT_S) -> None:
        async def all_of_it() -> None:
            command = decoding.command(tmp_path / "events")
            decoder = Decoder(MAX_PIXELS, workers, seconds, command)
            try:
                await test(decoder)
            finally:
                pids.update(processes(decoder))
                decoder.close()

        asyncio.run(all_of_it())

    yield run
    assert not any(map(psutil.pid_exists, pids)), "a worker is left"


def processes(decoder: Decoder) -> list[int]:
    return [worker.pid for worker in decoder._workers._all]


def replaced(reason: str) -> float:
    name = "captionbox_decode_workers_replaced_total"
    return REGISTRY.get_sample_value(name, {"reason": reason}) or 0.0


async def refusal(decoder: Decoder, data: bytes) -> str:
    """Return what is said of a picture that is refused."""
    with pytest.raises(Problem) as error:
        await decoder.decode(data, SPEC)
    assert (error.value.status, error.value.type_slug) == (422, "broken-image")
    return error.value.detail


FAULTS = {
    "time": (decoding.HANG, "time", "longer to decode than it may: 2 s"),
    "time, in the header": (decoding.SPIN, "time", "longer to decode than it may: 2 s"),
    "memory": (decoding.EAT, "memory", "more than the 64 MiB"),
    "a crash": (decoding.ABORT, "crash", "makes the decoder fail"),
    "killed again": (decoding.KILL, "killed", "makes the decoder fail"),
    "an answer without sense": (decoding.BABBLE, "crash", "makes the decoder fail"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_its_own_pictures(name: str, try_with: Callable[..., None]) -> None:
    data, reason, text = FAULTS[name]

    async def test(decoder: Decoder) -> None:
        assert (await decoder.decode(GOOD, SPEC)).info.width == 200
        before, began = replaced(reason), time.monotonic()
        bad = asyncio.create_task(refusal(decoder, data))
        neighbours = [decoder.decode(GOOD, SPEC) for _ in range(10)]
        assert all(good.info.width == 200 for good in await asyncio.gather(*neighbours))
        assert text in await bad
        if reason == "time" and data == decoding.HANG:
            assert time.monotonic() - began > LIMIT_S
        assert replaced(reason) - before == (2 if data == decoding.KILL else 1)
        # Both places are there again.
        answers = await asyncio.gather(*(decoder.decode(GOOD, SPEC) for _ in range(4)))
        assert all(good.info.width == 200 for good in answers)

    try_with(test)


def test_a_worker_that_was_killed_from_outside(try_with: Callable[..., None]) -> None:
    """Another one gets its picture, once."""

    async def test(decoder: Decoder) -> None:
        assert "not killed again" in await refusal(decoder, decoding.KILL_ONCE)
        # Those that wait for work may be killed as well, all of them.
        await asyncio.gather(*(decoder.decode(GOOD, SPEC) for _ in range(10)))
        for pid in processes(decoder):
            psutil.Process(pid).kill()
        await asyncio.sleep(0.2)
        for _ in range(3):
            assert (await decoder.decode(GOOD, SPEC)).info.width == 200

    try_with(test)


def test_a_real_picture_over_the_limit_of_memory(try_with: Callable[..., None]) -> None:
    """A TIFF of 64 x 64 pixels in a tile that is said to have 268 million."""
    side = 16_384
    body = zlib.compress(bytes(64 * 64))
    tags = [(256, 64), (257, 64), (258, 8), (259, 8), (262, 1), (277, 1)]
    tags += [(322, side), (323, side), (324, 8 + 2 + 12 * 10 + 4), (325, len(body))]
    data = b"II*\0" + struct.pack("<LH", 8, len(tags))
    data += b"".join(struct.pack("<HHLL", tag, 4, 1, value) for tag, value in tags)
    data += bytes(4) + body

    async def test(decoder: Decoder) -> None:
        before = replaced("memory")
        assert "more than the 64 MiB" in await refusal(decoder, data)
        assert replaced("memory") - before == 1
        assert (await decoder.decode(GOOD, SPEC)).info.width == 200

    try_with(test, seconds=60)


def test_a_request_that_is_cancelled_frees_its_place(try_with: Callable[..., None]) -> None:
    async def test(decoder: Decoder) -> None:
        hanging = [asyncio.create_task(decoder.decode(decoding.HANG, SPEC)) for _ in range(4)]
        await asyncio.sleep(1)
        before = replaced("cancelled")
        waiting = asyncio.create_task(decoder.decode(GOOD, SPEC))
        await asyncio.sleep(0)
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)
        assert (await asyncio.wait_for(waiting, 30)).info.width == 200
        assert replaced("cancelled") - before <= 2, "two were waiting"
        assert len(processes(decoder)) <= 2

    try_with(test, seconds=60)


@pytest.mark.parametrize("limit", ["MOST_PICTURES", "MOST_RESIDENT"])
def test_a_worn_worker_is_replaced_while_it_works(
    limit: str, try_with: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_pool, limit, 5)

    async def test(decoder: Decoder) -> None:
        before, seen = replaced("recycled"), set(processes(decoder))
        for turn in range(1000):
            assert (await decoder.decode(GOOD, SPEC)).info.width == 200
            seen.update(processes(decoder))
            assert 1 <= len(processes(decoder)) <= 4
            if replaced("recycled") - before >= 2 and turn > 20:
                break
        assert replaced("recycled") - before >= 2
        assert len(seen) >= 4

    try_with(test, seconds=60)


def test_many_at_once_are_what_they_are_one_by_one(try_with: Callable[..., None]) -> None:
    specs = [
        PreprocessSpec(height=224, width=224),
        PreprocessSpec(height=32, width=64, fit="pad", resample="bilinear"),
        PreprocessSpec(height=2048, width=1024, fit="crop"),
    ]
    names = ("red ring", "blue bar", "gold square")
    files = [
        encode(draw(name, size), fmt)
        for name, size in zip(names, (60, 300, 1500), strict=True)
        for fmt in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "AVIF")
    ]
    jobs = [(data, spec) for data in files for spec in specs]

    async def test(decoder: Decoder) -> None:
        answers = await asyncio.gather(*(decoder.decode(*job) for job in jobs))
        for (data, spec), answer in zip(jobs, answers, strict=True):
            pixels, info = decode(data, spec, MAX_PIXELS)
            assert answer.info == info
            assert answer.pixels.dtype == np.uint8 and answer.pixels.flags.c_contiguous
            assert np.array_equal(answer.pixels, pixels)

    try_with(test, workers=3, seconds=60)


def test_large_pictures_are_within_the_limits(try_with: Callable[..., None]) -> None:
    """What is set aside for a picture is enough in every format."""
    side = 3000
    ramp = np.broadcast_to(np.linspace(0, 255, side).astype(np.uint8), (side, side))
    rgb = Image.fromarray(np.dstack([ramp, ramp.T, ramp]))
    rgba = rgb.copy()
    rgba.putalpha(Image.fromarray(ramp))
    pictures = [
        encode(rgb, "JPEG"),
        encode(rgb, "JPEG", progressive=True),
        encode(rgb.quantize(8), "PNG", transparency=0, compress_level=1),
        encode(rgba, "PNG", compress_level=1),
        encode(Image.fromarray(ramp.astype(np.uint16) * 257), "PNG", compress_level=1),
        encode(Image.fromarray(ramp.astype(np.float32) / 255), "TIFF", compression="tiff_lzw"),
        encode(rgb.convert("CMYK"), "TIFF"),
        encode(rgba, "WEBP", method=0, quality=20),
        encode(rgba, "AVIF", speed=10, quality=20),
        encode(rgb, "BMP"),
        encode(rgb, "GIF"),
    ]
    spec = PreprocessSpec(height=2048, width=2048, resample="lanczos")

    async def test(decoder: Decoder) -> None:
        for data in pictures:
            assert (await decoder.decode(data, spec)).info.width == side

    try_with(test, seconds=120)


# --- what a worker is -----------------------------------------------------------------------------


def test_a_worker_is_small_and_knows_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAPTIONBOX_API_KEYS", "anna:secret")

    async def run() -> None:
        decoder = Decoder(MAX_PIXELS, 1, 60)
        try:
            await decoder.decode(GOOD, SPEC)
            for pid in processes(decoder):
                process = psutil.Process(pid)
                assert "CAPTIONBOX_API_KEYS" not in process.environ()
                assert process.num_threads() == 1
                maps = Path(f"/proc/{pid}/maps").read_text()
                assert not re.search(r"torch|pydantic|openvino|libssl", maps)
                assert process.memory_info().rss < WORKER_BYTES
        finally:
            decoder.close()

    asyncio.run(run())


def test_no_worker_outlives_who_started_it(tmp_path: Path) -> None:
    """Not even that of one which is killed while a worker hangs."""
    program = (
        "import asyncio\n"
        "from models.api.preprocessing import PreprocessSpec\n"
        "from serving.pictures.decode import Decoder\n"
        f"decoder = Decoder(1000, 1, 5, {decoding.command(tmp_path / 'events')})\n"
        "print(*(worker.pid for worker in decoder._workers._all), flush=True)\n"
        f"asyncio.run(decoder.decode({decoding.HANG!r}, PreprocessSpec()))\n"
    )
    command = [sys.executable, "-c", program]
    started = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert started.stdout is not None
    with started.stdout as output:
        pids = [int(pid) for pid in output.readline().split()]
    assert len(pids) == 2
    time.sleep(2)  # one of them hangs by now; it does not notice that nobody waits for it
    started.kill()
    started.wait()
    deadline = time.monotonic() + 60
    while any(map(psutil.pid_exists, pids)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
