"""Decoding in worker processes: bounded by memory, in order, and never leaking what it took."""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.api.preprocessing import PreprocessSpec
from serving.base.problems import Problem
from serving.pictures.decode import DecodeMemory, Decoder
from serving.pictures.open_picture import OpenPicture, most_bytes
from tests.decoding import command, most_at_once
from tests.drawings import draw, encode
from tests.server import ROOT

# Pillow warns of sizes that are refused here anyway.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

SPEC = PreprocessSpec(height=32, width=32)

# --- the account ---------------------------------------------------------------------------------


def test_memory_is_lent_in_order() -> None:
    async def run() -> list[str]:
        memory, events = DecodeMemory(100), []

        async def one(name: str, size: int) -> None:
            taken = await memory.take(size)
            events.append(f"{name}+")
            assert memory.taken <= 100
            await asyncio.sleep(0.01)
            events.append(f"{name}-")
            memory.give_back(taken)

        # The large one waits for the first; the small one behind it does not overtake it.
        await asyncio.gather(one("a", 60), one("huge", 1000), one("b", 30))
        assert memory.taken == 0
        return events

    assert asyncio.run(run()) == ["a+", "a-", "huge+", "huge-", "b+", "b-"]


def test_what_is_cancelled_gives_its_place_free() -> None:
    async def run() -> None:
        memory = DecodeMemory(100)
        held = await memory.take(90)
        waiting = [asyncio.create_task(memory.take(size)) for size in (50, 10, 95)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        assert await asyncio.wait_for(waiting[1], 1) == 10
        memory.give_back(held)
        memory.give_back(10)
        # Its turn has come, but before it gets to know that it is cancelled.
        waiting[2].cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert memory.taken == 0
        assert await asyncio.wait_for(memory.take(100), 1) == 100

    asyncio.run(run())


# --- the decoder ---------------------------------------------------------------------------------


@pytest.fixture
def events(tmp_path: Path) -> Path:
    """Return the file where workers write down what they do."""
    return tmp_path / "events"


def every_picture_is_large(events: Path) -> tuple[str, ...]:
    return command(events, small_bytes=0)


def run_with(decoder: Decoder, test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a test and end the decoder's workers after it."""

    async def run() -> None:
        try:
            await test()
        finally:
            decoder.close()

    asyncio.run(run())


def test_no_more_at_once_than_memory_allows(events: Path) -> None:
    image = encode(draw("red ring", 100), "PNG")
    # One picture needs 50,000 bytes: three fit.
    room = 150_000 // most_bytes(1)
    decoder = Decoder(max(room, 10_000), 8, 60, every_picture_is_large(events))
    decoder._memory = DecodeMemory(150_000)

    async def test() -> None:
        answers = await asyncio.gather(*(decoder.decode(image, SPEC) for _ in range(24)))
        assert all(answer.info.width == 100 for answer in answers)

    run_with(decoder, test)
    assert decoder._memory.taken == 0
    assert 2 <= most_at_once(events) <= 3


def test_one_worker_is_never_given_a_large_picture(events: Path) -> None:
    image = encode(draw("red ring", 100), "PNG")
    decoder = Decoder(1_000_000, 2, 60, every_picture_is_large(events))

    async def test() -> None:
        await asyncio.gather(*(decoder.decode(image, SPEC) for _ in range(12)))

    run_with(decoder, test)
    assert most_at_once(events) == 2


def test_memory_comes_back_however_it_ends(events: Path) -> None:
    good = encode(draw("red ring", 100), "PNG")
    broken = good[: len(good) // 2]
    decoder = Decoder(1_000_000, 2, 60, every_picture_is_large(events))

    async def test() -> None:
        for _ in range(3):
            with pytest.raises(Problem):
                await decoder.decode(broken, SPEC)
        gone = [asyncio.create_task(decoder.decode(good, SPEC)) for _ in range(6)]
        await asyncio.sleep(0.03)
        for task in gone:
            task.cancel()
        await asyncio.gather(*gone, return_exceptions=True)
        assert decoder._memory.taken == 0
        assert (await decoder.decode(good, SPEC)).info.width == 100

    run_with(decoder, test)


def test_nothing_is_done_for_who_has_gone(events: Path) -> None:
    class GoneError(Exception):
        pass

    def gone() -> None:
        raise GoneError

    decoder = Decoder(1_000_000, 1, 60, every_picture_is_large(events))

    async def test() -> None:
        with pytest.raises(GoneError):
            await decoder.decode(encode(draw("red ring", 100), "PNG"), SPEC, gone)
        assert decoder._memory.taken == 0

    run_with(decoder, test)
    assert not events.exists(), "nothing was decoded"


def test_small_pictures_do_not_wait_for_large_ones() -> None:
    decoder = Decoder(50_000_000, 2, 60)

    async def test() -> None:
        await decoder._memory.take(10**12)  # a large one holds everything
        small = encode(draw("red ring", 200), "JPEG")
        assert (await asyncio.wait_for(decoder.decode(small, SPEC), 60)).info.width == 200

    run_with(decoder, test)


# --- what decoding really takes -------------------------------------------------------------------

_MEASURE = r"""
import json, re, sys
from pathlib import Path
from PIL import Image
from models.api.preprocessing import PreprocessSpec
from serving.pictures.images import decode
from serving.pictures.open_picture import OpenPicture

def peak():
    # Not getrusage: what it tells survives exec, and so is that of the parent.
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) * 1024

spec = PreprocessSpec(height=64, width=64)
decode(Path(sys.argv[1]).read_bytes(), spec, 10**9)
results = []
for name in sys.argv[2:]:
    data = Path(name).read_bytes()
    before = peak()
    picture = OpenPicture(data, spec, 10**9)
    picture.decode()
    results.append([Path(name).name, peak() - before, picture.bytes_needed + len(data)])
    del picture
print(json.dumps(results))
"""
SIDE = 3000


@pytest.fixture(scope="module")
def large_pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Make pictures of 9 megapixels, those that need the least memory first."""
    folder = tmp_path_factory.mktemp("large")
    ramp = np.linspace(0, 255, SIDE).astype(np.uint8)
    grey = np.broadcast_to(ramp, (SIDE, SIDE))
    rgb = Image.fromarray(np.dstack([grey, grey.T, grey]))
    rgba = rgb.copy()
    rgba.putalpha(Image.fromarray(grey))
    sixteen = Image.fromarray(grey.astype(np.uint16) * 257)
    floats = Image.fromarray(grey.astype(np.float32) / 255)
    made: list[tuple[str, Image.Image, dict[str, object]]] = [
        ("plain.jpg", rgb, {}),
        ("transparent-palette.png", rgb.quantize(8), {"transparency": 0, "compress_level": 1}),
        ("sixteen.png", sixteen, {"compress_level": 1}),
        ("progressive.jpg", rgb, {"progressive": True}),
        ("floats.tif", floats, {"compression": "tiff_lzw"}),
        ("cmyk.tif", rgb.convert("CMYK"), {"compression": "tiff_lzw"}),
        ("alpha.png", rgba, {"compress_level": 1}),
        ("alpha.avif", rgba, {"speed": 10, "quality": 20}),
        ("alpha.webp", rgba, {"method": 0, "quality": 20}),
    ]
    paths = []
    for name, image, options in made:
        path = folder / name
        if Image.registered_extensions()[path.suffix] in Image.SAVE:
            image.save(path, **options)
            paths.append(path)
    return paths


def test_decoding_takes_no_more_memory_than_it_says(
    large_pictures: list[Path], tmp_path: Path
) -> None:
    warm = tmp_path / "warm.png"
    warm.write_bytes(encode(draw("red ring", 1200), "PNG"))
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, str(warm), *map(str, large_pictures)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    highest = expected = 0
    for name, grown, needed in json.loads(done.stdout):
        highest += grown
        expected = max(expected, needed)
        # Before: 29 bytes a pixel for floats, 25 for 16 bits, 24 for PNG with alpha.
        assert highest < 1.1 * expected + 30_000_000, (name, highest, needed)
    assert highest > 3 * SIDE * SIDE, "nothing was measured"


def test_the_header_alone_needs_next_to_nothing() -> None:
    """A WebP of the most pixels makes its canvas on opening; nobody touches it until decoding."""
    buffer = io.BytesIO()
    Image.new("RGB", (1, 1)).save(buffer, "PNG")
    assert OpenPicture(buffer.getvalue(), SPEC, 100).bytes_needed == 5
