"""Take the README's picture of the web page, from a real run with a real model.

    make screenshot

The pictures in it are drawn by `tests.web.scenes`; the captions are whatever the model says.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from models.store import content_version
from tests.server import Server, install
from tests.web.browsing import await_captions, card, choose
from tests.web.conftest import CHROMIUM, FLAGS
from tests.web.scenes import SCENES

POINTED_AT = ("airplane", "plane")
"""The first of these words that the first caption has is pointed at."""


def main() -> int:
    """Take the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="model directory")
    parser.add_argument("out", type=Path, help="PNG file to write")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = []
        for scene in SCENES:
            files.append(folder / f"{scene.__name__.replace('_', '-')}.jpg")
            scene().save(files[-1], quality=92)
        version = content_version(arguments.model)
        install(folder / "bentoml", arguments.model, version=version)
        server = Server(folder / "bentoml", folder / "server.log")
        try:
            server.start()
            photograph(server, files, arguments.out)
        finally:
            server.stop()
    return 0


def photograph(server: Server, files: list[Path], out: Path) -> None:
    """Have the files captioned and write a picture of the page."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1240, "height": 1000}, color_scheme="light")
        page.goto(server.url)
        page.wait_for_selector("#options select")
        choose(page, *files)
        await_captions(page, len(files))
        first = card(page, files[0].name)
        with page.expect_response("**/caption"):
            first.locator(".caption").hover()
        words = first.locator(".word").all_text_contents()
        pointed = next((word for word in POINTED_AT if word in words), words[-1])
        first.locator(".word", has_text=pointed).last.hover()
        page.wait_for_timeout(600)
        out.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=out, full_page=True)
        browser.close()
    with Image.open(out) as picture:
        picture.convert("RGB").save(out, optimize=True)


if __name__ == "__main__":
    sys.exit(main())
