"""What the client's tests share: the package's source on the path, a stand-in server, pictures."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

CLIENT = Path(__file__).resolve().parents[2] / "client"
SOURCE = CLIENT / "src"

sys.path.insert(0, str(SOURCE))

from tests.client.either import Either  # noqa: E402
from tests.client.stand_in import StandIn, picture, serve  # noqa: E402


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No setting of the machine's owner reaches a test, and no journal of a test the owner."""
    for name in list(os.environ):
        if name.startswith("CAPTIONBOX_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    """Return a stand-in server."""
    with serve() as state:
        yield state


@pytest.fixture
def command_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return an environment in which `captionbox` is this source's command."""
    folder = tmp_path_factory.mktemp("bin")
    script = folder / "captionbox"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m captionbox "$@"\n')
    script.chmod(0o755)
    environment = dict(os.environ)
    environment["PATH"] = os.pathsep.join([str(folder), os.environ["PATH"]])
    environment["PYTHONPATH"] = str(SOURCE)
    environment["COLUMNS"] = "100"
    return environment


@dataclass
class Done:
    """What a command did."""

    returncode: int
    stdout: bytes
    stderr: bytes


Captionbox = Callable[..., Done]


@pytest.fixture
def captionbox(stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Captionbox:
    """Return a function that runs the command in this process, in `tmp_path`, on the stand-in."""
    from captionbox.cli.app import app
    from typer.testing import CliRunner

    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, code: int = 0, **environment: str) -> Done:
        result = CliRunner().invoke(
            app, arguments, env={"CAPTIONBOX_BASE_URL": stand_in.url} | environment
        )
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, (result.exit_code, result.stdout, result.stderr)
        return Done(result.exit_code, result.stdout_bytes, result.stderr_bytes)

    return run


@pytest.fixture
def process(stand_in: StandIn, tmp_path: Path, command_environment: dict[str, str]) -> Captionbox:
    """Return a function that runs the command as a process of its own, otherwise the same."""

    def run(*arguments: str, stdin: bytes = b"", code: int = 0, **environment: str) -> Done:
        done = subprocess.run(
            ["captionbox", *arguments],
            cwd=tmp_path,
            env=command_environment | {"CAPTIONBOX_BASE_URL": stand_in.url} | environment,
            input=stdin,
            capture_output=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        return Done(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder of six pictures."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(6):
        (folder / f"{number}.jpg").write_bytes(picture(str(number)))
    return folder


@pytest.fixture(params=["sync", "async"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Either:
    """Return the sync, then the async client; neither really sleeps."""
    either = Either(request.param)

    async def sleep(seconds: float) -> None:
        either.pauses.append(seconds)

    monkeypatch.setattr("captionbox.client.time.sleep", either.pauses.append)
    monkeypatch.setattr("captionbox.async_client.asyncio.sleep", sleep)
    return either
