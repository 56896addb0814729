"""`captionbox review`: nothing is written before it is accepted, and by nobody else."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx
import pytest
from captionbox.cli.output.journal import NoJournal
from captionbox.cli.texts.accepted import AcceptedTable
from PIL import Image

from tests.client.cli.commands.test_undo import snapshot
from tests.client.conftest import Captionbox
from tests.client.stand_in import StandIn, caption_of, picture

Reviewing = Callable[..., AbstractContextManager[str]]


@pytest.fixture
def reviewing(photos: Path, command_environment: dict[str, str]) -> Reviewing:
    """Return a function that runs the command in a block, and gives the page's address."""

    @contextmanager
    def run(*arguments: str) -> Iterator[str]:
        process = subprocess.Popen(
            ["captionbox", "review", "photos", "--no-browser", *arguments],
            cwd=photos.parent,
            env=command_environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            assert process.stdout
            yield process.stdout.readline().decode().strip()
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0
        finally:
            process.kill()
            process.communicate()

    return run


def accept(url: str, number: int, text: str) -> httpx.Response:
    return httpx.post(f"{url}accept", json={"number": number, "text": text})


def test_text_files(captionbox: Captionbox, photos: Path, reviewing: Reviewing) -> None:
    captionbox("caption", "photos", "-f", "txt")
    before = snapshot(photos)
    with reviewing() as url:
        items = httpx.get(f"{url}items").json()
        assert [one["caption"] for one in items] == [
            caption_of(picture(str(number))) for number in range(6)
        ]
        page = httpx.get(url)
        assert "<title>Captionbox: review</title>" in page.text
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
        assert httpx.get(f"{url}picture/3").content == picture("3")
        assert snapshot(photos) == before
        assert accept(url, 3, " A dog,\nby hand ").json() == {"accepted": "A dog,\nby hand"}
        assert accept(url, 1, items[1]["caption"]).status_code == 200
        assert httpx.get(f"{url}items").json()[3]["accepted"] == "A dog,\nby hand"
    assert (photos / "3.txt").read_text() == "A dog, by hand\n"
    captionbox("caption", "photos", "-f", "txt", "--overwrite", "--preserve-human", "--prefix", "x")
    assert (photos / "3.txt").read_text() == "A dog, by hand\n"
    assert (photos / "1.txt").read_text() == caption_of(picture("1")) + "\n"
    assert (photos / "0.txt").read_text() == "x" + caption_of(picture("0")) + "\n"
    captionbox("undo")
    captionbox("undo")
    assert snapshot(photos) == before


def test_a_table_least_sure_first_into_another(
    captionbox: Captionbox, photos: Path, reviewing: Reviewing
) -> None:
    results = photos.parent / "found.jsonl"
    rows = [{"image": f"photos/{n}.jpg", "caption": f"It is {n}", "confidence": 1 / (n + 1)}
            for n in range(4)]  # fmt: skip
    results.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with reviewing("--results", "found.jsonl", "--to", "csv", "--out", "good.csv") as url:
        items = httpx.get(f"{url}items").json()
        assert [one["caption"] for one in items] == [f"It is {n}" for n in (3, 2, 1, 0)]
        assert not (photos.parent / "good.csv").exists()
        assert accept(url, 0, 'It is "three"').status_code == 200
        assert accept(url, 3, "It is 0").status_code == 200
    with (photos.parent / "good.csv").open() as file:
        assert list(csv.reader(file)) == [
            ["image", "caption"],
            ["photos/3.jpg", 'It is "three"'],
            ["photos/0.jpg", "It is 0"],
        ]
    AcceptedTable(photos.parent / "good.csv", NoJournal()).write("photos/1.jpg", "Later")
    assert len((photos.parent / "good.csv").read_text().splitlines()) == 4


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
def test_descriptions(captionbox: Captionbox, photos: Path, reviewing: Reviewing) -> None:
    image = photos / "0.jpg"
    Image.effect_noise((640, 480), 90).convert("RGB").save(image)
    captionbox("xmp", "photos/0.jpg")
    (photos / "0.txt").write_text("A text\n")
    with reviewing("--to", "xmp") as url:
        thumbnail = httpx.get(f"{url}thumbnail/0")
        assert thumbnail.headers["content-type"] == "image/jpeg"
        assert len(thumbnail.content) < len(image.read_bytes()) / 2
        assert accept(url, 0, "By hand").status_code == 200
    command = ["exiftool", "-s3", "-XMP-dc:Description", "-XMP-photoshop:CaptionWriter", image]
    assert subprocess.run(command, capture_output=True, text=True).stdout == "By hand\n"
    captionbox("xmp", "photos/0.jpg", "--overwrite", "--preserve-human")
    assert subprocess.run(command, capture_output=True, text=True).stdout == "By hand\n"


def test_nobody_else_gets_in(
    captionbox: Captionbox, photos: Path, reviewing: Reviewing, stand_in: StandIn
) -> None:
    (photos / "0.txt").write_text("A text\n")
    with reviewing() as url:
        base = url.rsplit("/", 2)[0]
        assert httpx.get(f"{base}/").status_code == 404
        assert httpx.get(f"{base}/guess/items").status_code == 404
        assert httpx.get(url, headers={"Host": "evil.example"}).status_code == 404
        for body, kind in (("{}", "text/plain"), ('{"number": 9, "text": "x"}', "application/json"),
                           ('{"number": -1, "text": "x"}', "application/json"),
                           ('{"number": 0, "text": " "}', "application/json")):  # fmt: skip
            answer = httpx.post(f"{url}accept", content=body, headers={"Content-Type": kind})
            assert answer.status_code in (400, 404)
        assert httpx.get(f"{url}picture/../../etc/passwd").status_code == 404
        assert httpx.get(f"{url}picture/7").status_code == 404
    assert (photos / "0.txt").read_text() == "A text\n"


def test_what_cannot_be_reviewed(captionbox: Captionbox, photos: Path) -> None:
    assert b"no captions" in captionbox("review", "photos", code=2).stderr
    assert b"go together" in captionbox("review", "photos", "--to", "csv", code=2).stderr
    (photos.parent / "x.jsonl").write_text("nothing")
    done = captionbox("review", "photos", "--results", "x.jsonl", code=2)
    assert b"is no table of captions" in done.stderr


@pytest.mark.long
def test_with_the_keyboard_alone(
    captionbox: Captionbox, photos: Path, reviewing: Reviewing
) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("no Chromium: Debian's package `chromium`, or `make programs`")
    for number in range(6):
        Image.effect_noise((200, 100 + number), 90).convert("RGB").save(photos / f"{number}.jpg")
    captionbox("caption", "photos", "-f", "txt")
    old = (photos / "2.txt").read_text()
    with reviewing() as url, playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = chromium.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(url)
        page.get_by_text("0 of 6 accepted").wait_for()
        page.keyboard.press("Enter")
        page.get_by_text("1 of 6 accepted, 0 skipped").wait_for()
        page.keyboard.press("e")
        page.keyboard.press("Control+A")
        page.keyboard.type("A dog, by hand")
        page.keyboard.press("Enter")
        page.get_by_text("2 of 6 accepted").wait_for()
        page.keyboard.press("s")
        page.get_by_text("1 skipped").wait_for()
        page.keyboard.press("j")
        page.keyboard.press("k")
        assert "3.jpg" in page.locator("#name").inner_text()
        assert errors == []
        chromium.close()
    assert (photos / "1.txt").read_text() == "A dog, by hand\n"
    assert (photos / "2.txt").read_text() == old
