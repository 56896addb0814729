"""The README's snippets, word for word: against the stand-in, and against the real server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.client.cli.commands.test_xmp import FAKE
from tests.client.stand_in import StandIn

README = Path(__file__).resolve().parents[2] / "client" / "README.md"

SNIPPETS = [
    (match[1], match[2])
    for match in re.finditer(r"^```(python|sh)\n(.*?)^```$", README.read_text(), re.M | re.S)
]
INSTALLING = [text for _, text in SNIPPETS if text.startswith("pip install")]
RUNNABLE = [pytest.param(*one, id=f"{n}-{one[0]}") for n, one in enumerate(SNIPPETS)
            if one[1] not in INSTALLING]  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Make a folder with everything that the README speaks of."""
    (tmp_path / "photos" / "2024").mkdir(parents=True)
    (tmp_path / "site").mkdir()
    for name in ("photo.jpg", "photos/dog.jpg", "photos/2024/cat.jpg", "site/dog.jpg"):
        Image.effect_noise((64, 64), 90).convert("RGB").save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "site" / "index.html").write_text('<img src="dog.jpg"><img alt="" src="dog.jpg">')
    return tmp_path


def run(language: str, text: str, place: Path, environment: dict[str, str]) -> str:
    """Run a snippet as it stands; return what it printed."""
    exiftool = Path(environment["PATH"].split(os.pathsep)[0]) / "exiftool"
    exiftool.write_text(FAKE.format(python=sys.executable, log=str(place / "exiftool.log")))
    exiftool.chmod(0o755)
    if language == "python":
        command = [sys.executable, "-c", text]
    else:
        command = ["bash", "-euo", "pipefail", "-c", text]
    done = subprocess.run(
        command,
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(("language", "text"), RUNNABLE)
def test_snippet(
    language: str,
    text: str,
    place: Path,
    stand_in: StandIn,
    command_environment: dict[str, str],
) -> None:
    environment = command_environment | {"CAPTIONBOX_BASE_URL": stand_in.url}
    printed = run(language, text, place, environment)
    if "captionbox alt" in text:
        assert (place / "site" / "index.html").read_text().count('alt="A picture') == 1
    elif "captionbox xmp" in text:
        assert (place / "exiftool.log").read_text().count("Description=A picture") == 2
    elif "notes.txt" in text:
        assert printed == "415 Unsupported image No picture. request-1\n"
    elif "caption_batch" in text:
        assert printed == "[True, True, False]\n"
    elif ".crop(" not in text:
        assert printed


@pytest.mark.parametrize(("language", "text"), RUNNABLE)
def test_snippet_on_the_real_server(
    language: str,
    text: str,
    place: Path,
    command_environment: dict[str, str],
    request: pytest.FixtureRequest,
) -> None:
    matching = ".match(" in text or "captionbox match" in text
    server = request.getfixturevalue("matching_server" if matching else "server")
    run(language, text, place, command_environment | {"CAPTIONBOX_BASE_URL": server.url})
    if "captionbox alt" in text:
        page = (place / "site" / "index.html").read_text()
        assert re.fullmatch(r'<img alt="A [^"]+\." src="dog.jpg"><img alt="" src="dog.jpg">', page)


def test_every_snippet_is_run() -> None:
    assert len(INSTALLING) == 1
    assert len(RUNNABLE) >= 12


def test_options_and_errors_are_listed() -> None:
    from captionbox import CaptionOptions, errors

    text = README.read_text()
    for name in CaptionOptions.__annotations__:
        assert f"| `{name}` |" in text
    for name, kind in vars(errors).items():
        if isinstance(kind, type) and issubclass(kind, Exception):
            assert f"`{name}`" in text, name
