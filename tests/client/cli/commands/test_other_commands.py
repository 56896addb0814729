"""`captionbox match`, `models`, `check` and the command as a whole."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import captionbox.cli.app
import pytest
from captionbox import __version__
from captionbox.cli.output.endings import ExitCode

from tests.client.conftest import Captionbox
from tests.client.stand_in import StandIn, picture


@pytest.fixture(autouse=True)
def _photo(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(picture("a"))


def test_match(captionbox: Captionbox) -> None:
    done = captionbox("match", "photo.jpg", "a dog", "a dog on\nthe grass")
    assert done.stdout == b"score\ttext\n1.0000\ta dog on the grass\n0.5000\ta dog\n"
    told = json.loads(captionbox("match", "photo.jpg", "a", "b", "--json").stdout)
    assert [one["text"] for one in told["matches"]] == ["a", "b"]


def test_match_without_a_matcher(captionbox: Captionbox, stand_in: StandIn) -> None:
    stand_in.routes.remove("/match")
    assert b"404 Not found" in captionbox("match", "photo.jpg", "a dog", code=3).stderr
    assert b"download it first" in captionbox("match", "http://h/a.jpg", "a", code=1).stderr


def test_models(captionbox: Captionbox) -> None:
    assert captionbox("models").stdout == (
        b"name\tversion\tmethod\tkind\tparameters\tdefault\n"
        b"compact\t1.0.0\tcompact\tcaptioner\t9,000,000\tyes\n"
    )
    told = json.loads(captionbox("models", "--json").stdout)
    assert told[0]["id"] == "compact"
    assert told[0]["owned_by"] == "captionbox"


def test_check(captionbox: Captionbox, stand_in: StandIn) -> None:
    assert captionbox("check").stdout.decode().splitlines() == [
        f"server   {stand_in.url}",
        f"version  0.1.0 (this client: {__version__})",
        "models   compact (default)",
    ]


def test_check_of_another_version(captionbox: Captionbox, stand_in: StandIn) -> None:
    stand_in.version = "3.0.0"
    complaint = (
        f"captionbox: the server is Captionbox 3.0.0 but this client is {__version__}: they may "
        "not understand each other; install the client of the server's version\n"
    )
    done = captionbox("check", code=3)
    assert done.stderr.decode() == complaint
    assert b"version  3.0.0" in done.stdout
    done = captionbox("caption", "photo.jpg", "photo.jpg")
    assert done.stderr.decode() == complaint


def test_check_of_nobody(captionbox: Captionbox) -> None:
    done = captionbox("check", "--base-url", "http://127.0.0.1:9", code=4)
    assert done.stderr.startswith(b"captionbox: cannot reach http://127.0.0.1:9: ")


def test_check_of_something_else(captionbox: Captionbox, stand_in: StandIn) -> None:
    stand_in.script = [(200, {}, b"<h1>Welcome to nginx!</h1>")]
    assert b"is there a Captionbox server at" in captionbox("check", code=3).stderr


def test_keys(captionbox: Captionbox, stand_in: StandIn) -> None:
    stand_in.key = "right"
    assert b"401 Not authorised" in captionbox("check", code=3).stderr
    captionbox("check", CAPTIONBOX_API_KEY="right")
    captionbox("check", "--api-key", "right")
    done = captionbox("check", "--api-key", "wrong-key", code=3)
    assert b"wrong-key" not in done.stderr + done.stdout


def test_version_and_help(captionbox: Captionbox) -> None:
    assert captionbox("--version").stdout.decode() == f"{__version__}\n"
    for command in ("caption", "alt", "xmp", "match", "models", "check"):
        shown = captionbox(command, "--help", COLUMNS="200").stdout.decode()
        assert "Server" in shown
        assert "CAPTIONBOX_BASE_URL" in shown


def test_help_tells_no_secret(captionbox: Captionbox) -> None:
    shown = captionbox("check", "--help", CAPTIONBOX_API_KEY="my-key").stdout
    assert b"my-key" not in shown


def test_the_readme_lists_every_exit_code() -> None:
    readme = (Path(__file__).resolve().parents[4] / "client" / "README.md").read_text()
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", readme, re.MULTILINE)}
    assert told == {int(code) for code in ExitCode}


def test_the_command_is_where_the_package_says() -> None:
    assert callable(captionbox.cli.app.main)
    assert os.environ.get("CAPTIONBOX_API_KEY") is None
