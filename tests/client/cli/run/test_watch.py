"""`captionbox watch`: pictures as they arrive."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.client.captions import lines
from tests.client.conftest import Captionbox
from tests.client.stand_in import StandIn, caption_of, picture

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def watching(
    photos: Path, stand_in: StandIn, command_environment: dict[str, str]
) -> Callable[..., contextmanager]:  # type: ignore[type-arg]
    """Return a function that runs `captionbox watch photos` in a block."""

    @contextmanager
    def run(*more: str) -> Iterator[subprocess.Popen[bytes]]:
        process = subprocess.Popen(
            ["captionbox", "watch", "photos", "--settle", "0.3", *more],
            cwd=photos.parent,
            env=command_environment | {"CAPTIONBOX_BASE_URL": stand_in.url},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    return run


def wait_for(path: Path, text: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if path.exists() and path.read_text() == text:
            return
        time.sleep(0.05)
    raise AssertionError(f"{path}: {path.read_text() if path.exists() else 'not there'}")


def wait_for_caption(image: Path) -> None:
    wait_for(image.with_suffix(".txt"), caption_of(image.read_bytes()) + "\n")


def test_what_is_there_what_comes_and_what_changes(
    watching: Start, photos: Path, stand_in: StandIn
) -> None:
    (photos / "0.txt").write_text("by hand\n")
    with watching() as process:
        for number in range(1, 6):
            wait_for_caption(photos / f"{number}.jpg")
        (photos / "new").mkdir()
        slow = photos / "new" / "slow.jpg"
        with slow.open("wb") as file:
            for piece in range(8):
                file.write(picture(str(piece)))
                file.flush()
                time.sleep(0.1)
        wait_for_caption(slow)
        assert stand_in.asked["slow.jpg"] == 1
        (photos / "1.jpg").write_bytes(picture("changed"))
        (photos / "0.jpg").write_bytes(picture("changed, but described by hand"))
        (photos / ".hidden.jpg").write_bytes(picture("hidden"))
        (photos / "@eaDir").mkdir()
        (photos / "@eaDir" / "thumb.jpg").write_bytes(picture("thumb"))
        wait_for_caption(photos / "1.jpg")
        (photos / "2.jpg").unlink()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 143
    assert (photos / "0.txt").read_text() == "by hand\n"
    assert not {"0.jpg", ".hidden.jpg", "thumb.jpg"} & set(stand_in.asked)


def test_a_stop_costs_nothing(watching: Start, photos: Path, stand_in: StandIn) -> None:
    with watching() as process:
        wait_for_caption(photos / "5.jpg")
        stand_in.settle()
        process.kill()
    before = dict(stand_in.asked)
    (photos / "3.jpg").write_bytes(picture("changed meanwhile"))
    (photos / "6.jpg").write_bytes(picture("6"))
    with watching():
        wait_for_caption(photos / "6.jpg")
        wait_for_caption(photos / "3.jpg")
    for number in (0, 1, 2, 4, 5):
        name = f"{number}.jpg"
        assert stand_in.asked[name] == max(1, before.get(name, 0))


def test_a_server_that_is_away_is_waited_for(
    watching: Start, photos: Path, stand_in: StandIn
) -> None:
    stand_in.script = [(500, {}, b"")] * 3
    with watching() as process:
        for number in range(6):
            wait_for_caption(photos / f"{number}.jpg")
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130


def test_a_server_that_refuses_ends_it(watching: Start, photos: Path, stand_in: StandIn) -> None:
    stand_in.key = "other"
    with watching() as process:
        assert process.wait(60) == 3
        assert b"CAPTIONBOX_API_KEY" in process.communicate()[1]


def test_into_a_file_and_undone(watching: Start, captionbox: Captionbox, photos: Path) -> None:
    out = photos.parent / "out.jsonl"
    with watching("--out", "out.jsonl", "--json") as process:
        assert process.stdout
        told = [json.loads(process.stdout.readline()) for _ in range(6)]
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 143
    assert {one["image"] for one in told} == {f"photos/{number}.jpg" for number in range(6)}
    assert len(lines(out.read_bytes())) == 6
    captionbox("undo")
    assert not out.exists()


def test_what_cannot_be_watched(captionbox: Captionbox, photos: Path) -> None:
    assert b"is not a folder" in captionbox("watch", "photos/0.jpg", code=2).stderr
    assert b"needs --out" in captionbox("watch", "photos", "-f", "csv", code=2).stderr
    done = captionbox("watch", "photos", "--dry-run")
    assert lines(done.stdout) == [f"photos/{number}.jpg" for number in range(6)]
    assert not (photos / "0.txt").exists()
