"""The calls in README and docs/, word for word: curl, SDK, command line, BentoML's client.

They go to port 3000, as whoever copies them would; here, what connects to that port is led to the
tests' server.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from serving.contract.requests import CaptionUrlInput
from tests.docs.pages import PAGES, README, blocks
from tests.drawings import caption_of, draw, encode
from tests.server import Server

BLOCKS = [
    text
    for page in PAGES
    if page == README or page.parent == README.parent / "docs"
    for text in blocks(page, "", "python")
]
COMMANDS = sorted(
    {
        command
        for text in BLOCKS
        for command in re.findall(r"^(?:\$ )?(curl (?:[^\n]|\\\n)*[^\\\n])$", text, re.MULTILINE)
        if "localhost:3000/" in command
    }
)
"""The curl commands, without the answers shown below them; two pages may have the same one."""

LED = """
import socket

_connect = socket.socket.connect

def connect(self, address):
    if self.family in (socket.AF_INET, socket.AF_INET6) and address[1] == 3000:
        address = (address[0], {port}, *address[2:])
    return _connect(self, address)

socket.socket.connect = connect
"""


def block(*words: str) -> str:
    """Return the one block that has all the words."""
    (found,) = [text for text in BLOCKS if all(word in text for word in words)]
    return str(found)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Make a folder with the pictures that the pages speak of."""
    (tmp_path / "photos" / "2024").mkdir(parents=True)
    for name in ("photo.jpg", "photos/dog.jpg", "photos/2024/cat.jpg"):
        (tmp_path / name).write_bytes(encode(draw("red ring"), "JPEG", quality=95))
    return tmp_path


def run(command: list[str], place: Path, server: Server, environment: dict[str, str]) -> str:
    """Run a command with port 3000 led to the server; return what it printed."""
    led = place / "led"
    led.mkdir(exist_ok=True)
    (led / "sitecustomize.py").write_text(LED.format(port=server.port))
    (led / ".curlrc").write_text(f'connect-to = "localhost:3000:127.0.0.1:{server.port}"\n')
    done = subprocess.run(
        command,
        cwd=place,
        env=environment
        | {"PYTHONPATH": f"{led}:{environment['PYTHONPATH']}", "CURL_HOME": str(led)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def shell(text: str) -> list[str]:
    return ["bash", "-euo", "pipefail", "-c", text]


@pytest.mark.parametrize("words", [("from captionbox import",), ("import bentoml",)])
def test_python(
    words: tuple[str, ...], place: Path, server: Server, command_environment: dict[str, str]
) -> None:
    printed = run([sys.executable, "-c", block(*words)], place, server, command_environment)
    assert printed == caption_of("red ring") + "\n"


def test_the_command(place: Path, server: Server, command_environment: dict[str, str]) -> None:
    first, *commands = block("pip install ./client", "captionbox caption").splitlines()
    assert first == "pip install ./client"  # what that brings is in test_package
    run(shell("\n".join(commands)), place, server, command_environment)
    records = [json.loads(line) for line in (place / "captions.jsonl").read_text().splitlines()]
    captions = {record["image"]: record["caption"] for record in records}
    assert captions == {
        "photos/dog.jpg": caption_of("red ring"),
        "photos/2024/cat.jpg": caption_of("red ring"),
    }


def asked(command: str) -> str:
    """Return the path that a curl command asks."""
    (path,) = re.findall(r"localhost:3000(/\S*)", command)
    return str(path)


def test_every_captioning_route_has_its_command() -> None:
    assert {asked(command) for command in COMMANDS} == {
        "/caption",
        "/caption_batch",
        "/caption_url",
        "/match",
    }


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl: Debian's package `curl`")
@pytest.mark.parametrize("command", [one for one in COMMANDS if asked(one) != "/caption_url"])
def test_curl(
    command: str, place: Path, matching_server: Server, command_environment: dict[str, str]
) -> None:
    printed = run(shell(command), place, matching_server, command_environment)
    answer = json.loads(printed)
    if asked(command) == "/match":
        assert sorted(one["text"] for one in answer["matches"]) == ["a cat", "a dog"]
    else:
        results = answer["results"] if asked(command) == "/caption_batch" else [answer]
        for result in results:
            assert result["captions"][0]["text"] == caption_of("red ring")


def test_the_body_of_the_command_that_names_an_address_is_taken() -> None:
    """It asks the internet, so it is not sent."""
    (command,) = [one for one in COMMANDS if asked(one) == "/caption_url"]
    words = shlex.split(command.replace("\\\n", " "))
    body = json.loads(words[words.index("-d") + 1])
    assert "Content-Type: application/json" in words
    assert CaptionUrlInput.model_validate(body).url.startswith("https://")
