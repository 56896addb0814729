"""`make serve`, open the address, drop five photos: five captions."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.server import ROOT, Server, environment
from tests.web.browsing import await_captions, captions, drag, expect
from tests.web.conftest import Opener, opener
from tests.web.scenes import SCENES


class MadeServer(Server):
    """A server that `make serve` starts, the embedded model included."""

    def start(self) -> None:
        """Start, and wait until it is ready."""
        venv = Path(sys.prefix)
        # What these tests run in is installed, whatever it is called.
        command = ["make", "serve", f"VENV={venv}", f"--old-file={venv}/.serve"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, f"PORT={self.port}"],
                cwd=ROOT,
                env=environment(self.home),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.wait_ready(180)

    def stop(self) -> None:
        """Interrupt it as Ctrl-C does, and see that it ends."""
        process = getattr(self, "_process", None)
        if process is None or process.poll() is not None:
            return
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    folder = tmp_path_factory.mktemp("made")
    server = MadeServer(folder / "bentoml", folder / "server.log")
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def open_made(browser: Any, made: Server) -> Iterator[Opener]:
    yield from opener(browser, made)


def test_five_photos_dropped_are_five_captions(
    open_made: Opener, made: Server, tmp_path: Path, chromium: Callable[..., Any]
) -> None:
    photos = []
    for scene in SCENES[:5]:
        photos.append(tmp_path / f"{scene.__name__}.jpg")
        scene().save(photos[-1], quality=90)
    page = open_made()
    drag(page, *photos)
    await_captions(page, 5)
    found = captions(page)
    assert set(found) == {photo.name for photo in photos}
    for text in found.values():
        assert re.fullmatch(r"[A-Z][^.]{8,}\.", text), text
    assert len(set(found.values())) > 1
    expect(page.locator("#toolbar")).to_contain_text("5 pictures captioned")
    # The page adds nothing of its own: the interface says the same of the same file.
    for photo in photos:
        answer = httpx.post(f"{made.url}/caption", files={"image": photo.read_bytes()}, timeout=60)
        assert answer.json()["captions"][0]["text"] == found[photo.name]
