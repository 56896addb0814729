"""Files of every format, damaged at random, through real workers: no hang, no crash, no growth.

    FUZZ_SECONDS=1200 FUZZ_SEED=7 .venv/bin/python -m pytest -m load -k damaged_files_harm

A failure names the number of the file; `damaged(SEED, NUMBER)` is that file again.
"""

from __future__ import annotations

import asyncio
import os
import random
import time

import psutil
import pytest

from models.api.preprocessing import PreprocessSpec
from models.pictures.kinds import HEIF
from serving.base.problems import Problem
from serving.pictures.decode import Decoder
from serving.pictures.worker_pool import MOST_RESIDENT
from tests.broken_pictures import FILES, PICTURE
from tests.drawings import encode

SECONDS = float(os.environ.get("FUZZ_SECONDS", "60"))
SEED = int(os.environ.get("FUZZ_SEED", "0"))

pytestmark = [pytest.mark.load, pytest.mark.timeout(SECONDS + 300)]

LIMIT_S = 20.0
MAX_PIXELS = 5_000_000
AT_ONCE = 6
GROWTH = 50e6

SPEC = PreprocessSpec(height=64, width=64)
EXTREMES = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)
WHOLE = [*FILES.values(), *([encode(PICTURE, "HEIF")] if HEIF else [])]


def damaged(seed: int, number: int) -> bytes:
    """Return a file that was whole once; the same for the same numbers."""
    draw = random.Random(f"{seed} {number}")
    data = bytearray(draw.choice(WHOLE))
    for _ in range(draw.choice((1, 1, 2, 4, 16))):
        # Headers are short, and much depends on them.
        place = draw.randrange(min(len(data), draw.choice((64, 1024, len(data)))) or 1)
        size = draw.choice((1, 2, 4, 64, 4096))
        kind = draw.randrange(6)
        if kind == 0:
            data[place : place + 1] = bytes([draw.randrange(256)])
        elif kind == 1:
            order = draw.choice(("big", "little"))
            value = draw.choice(EXTREMES) & (256 ** min(size, 4) - 1)
            data[place : place + min(size, 4)] = value.to_bytes(min(size, 4), order)
        elif kind == 2:
            del data[place : place + size]
        elif kind == 3:
            data[place:place] = data[place : place + size] * draw.choice((1, 2, 100))
        elif kind == 4:
            other = draw.choice(WHOLE)
            start = draw.randrange(len(other))
            data[place : place + size] = other[start : start + size]
        else:
            del data[place + draw.randrange(len(data) - place + 1) :]
    return bytes(data)


def test_damaged_files_harm_nobody() -> None:
    outcomes = dict.fromkeys(("read", 415, 422), 0)
    slowest = 0.0
    numbers = iter(range(10**9))

    async def ask(decoder: Decoder, until: float) -> None:
        nonlocal slowest
        for number in numbers:
            if time.monotonic() > until:
                return
            began, outcome = time.monotonic(), "read"
            try:
                await decoder.decode(damaged(SEED, number), SPEC)
            except Problem as problem:
                outcome = problem.status
            assert outcome in outcomes, (SEED, number, outcome)
            outcomes[outcome] += 1
            took = time.monotonic() - began
            assert took < AT_ONCE * LIMIT_S, (SEED, number, took)
            slowest = max(slowest, took)

    async def run() -> None:
        decoder = Decoder(MAX_PIXELS, 2, LIMIT_S)
        try:
            await asyncio.gather(*(ask(decoder, time.monotonic() + 5) for _ in range(AT_ONCE)))
            before = psutil.Process().memory_info().rss
            until = time.monotonic() + SECONDS
            await asyncio.gather(*(ask(decoder, until) for _ in range(AT_ONCE)))
            assert psutil.Process().memory_info().rss - before < GROWTH
            for worker in decoder._workers._all:
                assert psutil.Process(worker.pid).memory_info().rss < MOST_RESIDENT
        finally:
            decoder.close()

    asyncio.run(run())
    print(f"{outcomes}, the slowest took {slowest:.2f} s")
    assert min(outcomes.values()) > 10
