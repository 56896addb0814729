"""Hundreds of images, ten of them broken, killed twice and taken up again; each request counted.

A thousand of them on the real server: `test_real_server`.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.client.stand_in import StandIn, caption_of, picture

CONCURRENCY = 8


@pytest.mark.parametrize(("form", "count"), [("jsonl", 400), ("csv", 100)])
def test_killed_twice_nothing_is_lost_and_nothing_done_twice(
    tmp_path: Path, stand_in: StandIn, command_environment: dict[str, str], form: str, count: int
) -> None:
    folder, out = tmp_path / "photos", tmp_path / "out"
    folder.mkdir()
    broken = set(range(count // 20, count, count // 10))
    for number in range(count):
        text = f"{number} BROKEN" if number in broken else str(number)
        (folder / f"{number:04}.jpg").write_bytes(picture(text))
    command = ["captionbox", "caption", "photos", "--format", form, "--out", "out"]
    command += ["--concurrency", str(CONCURRENCY), "--base-url", stand_in.url]

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command, cwd=folder.parent, env=command_environment, stderr=subprocess.DEVNULL
        )

    stand_in.delay = 0.002
    recorded: set[str] = set()
    lost: Counter[str] = Counter()
    for enough in (count // 4, count * 6 // 10):
        process = start()
        deadline = time.monotonic() + 240
        while sum(stand_in.answered.values()) < enough and time.monotonic() < deadline:
            time.sleep(random.uniform(0, 0.005))
        process.send_signal(signal.SIGKILL)
        assert process.wait(240) == -signal.SIGKILL
        stand_in.settle()
        # What was asked for and is not in the file was on its way when the process died.
        now = set(sources(out.read_bytes(), form))
        assert recorded <= now
        missing = Counter(stand_in.asked) - Counter(f"{name}.jpg" for name in now) - lost
        lost += missing
        assert sum(missing.values()) <= CONCURRENCY
        recorded = now

    asked_before = Counter(stand_in.asked)
    process = start()
    assert process.wait(240) == 1

    found = sources(out.read_bytes(), form)
    assert len(found) == len(set(found)) == count
    captions, errors = read(out.read_bytes(), form)
    assert len(captions) == count - 10
    assert {int(name) for name in errors} == broken
    for name, caption in captions.items():
        assert caption == caption_of(picture(str(int(name))))
    # Asked for once, but for those whose answer a killed process never got to write down.
    assert stand_in.asked == Counter(f"{n:04}.jpg" for n in range(count)) + lost
    assert sum(lost.values()) <= 2 * CONCURRENCY
    for name in recorded:
        assert stand_in.asked[f"{name}.jpg"] == asked_before[f"{name}.jpg"]

    process = start()
    assert process.wait(240) == 1
    assert sum(stand_in.asked.values()) == count + sum(lost.values())


def read(content: bytes, form: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return captions and errors by the images' numbers."""
    captions, errors = {}, {}
    for line in content.decode().splitlines()[form == "csv" :]:
        if form == "jsonl":
            record = json.loads(line)
            source, caption = record["image"], record.get("caption", "")
        else:
            source, caption = line.split(",")[:2]
        name = Path(source).stem
        (captions if caption else errors)[name] = caption
    return captions, errors


def sources(content: bytes, form: str) -> list[str]:
    """Return the numbers of the images that complete lines speak of."""
    complete = content[: content.rfind(b"\n") + 1]
    captions, errors = read(complete, form)
    return [*captions, *errors]
