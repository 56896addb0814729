"""A library of photos as people have them: killed ten times, taken up again, and taken back.

And `docs/library.md`, word for word, on a real server.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.client.cli.commands.test_undo import snapshot
from tests.client.conftest import Captionbox
from tests.client.stand_in import StandIn, caption_of, picture
from tests.client.test_readme import INSTALLING
from tests.docs.pages import blocks
from tests.drawings import NAMES, draw, encode
from tests.server import ROOT, Server

KILLS = 10
ON_THEIR_WAY = 32


def library(folder: Path, count: int) -> tuple[set[Path], set[Path]]:
    """Make a library; return its pictures that can be captioned, and texts by people."""
    chance = random.Random(7)
    odd = [
        "ü 日本 {}.jpg",
        "a]b(c) {}.jpeg",
        "-dash {}.JPG",
        '"quoted" {}.png',
        "new\nline {}.webp",
        "100% {}.jpg",
        " blank {} .jpg",
    ]
    good, human = set(), set()
    for number in range(count):
        place = folder / f"{number % 13}" / ("deep/er" if number % 5 == 0 else "")
        place.mkdir(parents=True, exist_ok=True)
        name = chance.choice(odd) if number % 9 == 0 else "{}.jpg"
        path = place / name.format(number)
        kind = number % 40
        if kind == 1:
            path.write_bytes(picture(f"{number} BROKEN"))
            continue
        if kind == 2:
            path.symlink_to("nowhere")
            continue
        path.write_bytes(picture(str(number)))
        good.add(path)
        if kind == 3:
            twin = path.with_suffix(".png")
            twin.write_bytes(picture(f"{number} twin"))
            good.add(twin)
        if kind == 4:
            path.with_suffix(".txt").write_text(f"by hand, {number}\r\n")
            human.add(path.with_suffix(".txt"))
    for place in ("@eaDir", ".thumbnails", "#recycle"):
        (folder / "1" / place).mkdir()
        (folder / "1" / place / "thumb.jpg").write_bytes(picture("thumb"))
    (folder / "1" / ".hidden.jpg").write_bytes(picture("hidden"))
    odd_bytes = Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.jpg"))
    odd_bytes.write_bytes(picture("odd"))
    good.add(odd_bytes)
    return good, human


@pytest.mark.slow
def test_killed_ten_times_taken_up_and_taken_back(
    captionbox: Captionbox, tmp_path: Path, stand_in: StandIn, command_environment: dict[str, str]
) -> None:
    folder = tmp_path / "photos"
    good, human = library(folder, 2000)
    before = snapshot(folder)
    texts = {path: path.read_bytes() for path in human}
    command = ["captionbox", "caption", "photos", "--recursive", "--format", "txt"]
    stand_in.delay = 0.002

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            cwd=tmp_path,
            env=command_environment | {"CAPTIONBOX_BASE_URL": stand_in.url},
            stderr=subprocess.DEVNULL,
        )

    for kill in range(1, KILLS + 1):
        process = start()
        deadline = time.monotonic() + 120
        enough = len(good) * kill // (KILLS + 2)
        while sum(stand_in.answered.values()) < enough and time.monotonic() < deadline:
            time.sleep(random.uniform(0, 0.005))
        process.send_signal(signal.SIGKILL)
        assert process.wait(60) == -signal.SIGKILL
        stand_in.settle()
    assert start().wait(300) == 1  # some are broken

    asked = Counter(stand_in.asked)
    assert sum(count - 1 for count in asked.values()) <= KILLS * ON_THEIR_WAY
    assert {path: path.read_bytes() for path in human} == texts
    wanted = {path.read_bytes() for path in good if path.with_suffix(".txt") not in human}
    written = Counter(path.read_text() for path in folder.rglob("*.txt") if path not in human)
    assert not {caption_of(content) + "\n" for content in wanted} - set(written)
    captions = {text: count for text, count in written.items() if text.startswith("A picture")}
    assert set(captions.values()) == {1}
    assert "thumb.jpg" not in asked and ".hidden.jpg" not in asked
    total = sum(asked.values())
    assert start().wait(300) == 1
    assert sum(stand_in.asked.values()) == total

    captionbox("undo", "photos")
    assert snapshot(folder) == before


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
def test_the_page(tmp_path: Path, server: Server, command_environment: dict[str, str]) -> None:
    commands = blocks(ROOT / "docs" / "library.md", "sh")
    serve, install, *five = commands
    assert "serve:" in (ROOT / "Makefile").read_text()
    assert (serve, [install]) == ("make serve\n", INSTALLING)
    folder = tmp_path / "photos" / "2024"
    folder.mkdir(parents=True)
    for name in NAMES[:3]:
        (folder / f"{name}.jpg").write_bytes(encode(draw(name), "JPEG", quality=95))
    before = snapshot(folder)
    printed = {}
    for text in five:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=tmp_path,
            env=command_environment | {"CAPTIONBOX_BASE_URL": server.url},
            capture_output=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, (text, done.stdout, done.stderr)
        printed[text] = done.stdout
        if " xmp " in text:
            path = folder / f"{NAMES[0]}.jpg"
            told = subprocess.run(
                ["exiftool", "-s3", "-XMP-dc:Description", "-XMP-photoshop:CaptionWriter", path],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            assert told.startswith("A ")
            assert "Captionbox (compact test, sha256 " in told
        if text == "captionbox undo\n":
            assert snapshot(folder) == before
    assert len(printed["captionbox caption photos --recursive --sample 20\n"].splitlines()) == 3
    assert (folder / f"{NAMES[0]}.txt").read_text().startswith("ohwx, A ")
    assert len(five) >= 4
