"""Clients that well-known generators make of the OpenAPI document: they compile, and they run."""

from __future__ import annotations

import base64
import compileall
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.asking import PICTURE
from tests.drawings import caption_of
from tests.server import Server

# Not in the environment of the tests: it wants an older typer than they do.
PYTHON_CLIENT = ("openapi-python-client==0.29.1", "ruamel.yaml==0.19.1", "typer==0.27.3")
SCRIPTS = Path(__file__).with_name("generated")
CAPTION = caption_of("red ring")

pytestmark = [pytest.mark.timeout(300), pytest.mark.long]


def run(*command: str | Path, path: Path | None = None, cwd: Path) -> tuple[str, str]:
    """Run a program to its end; return its output and its errors. Fails if the program does."""
    env = {**os.environ, "PYTHONPATH": str(path)} if path else dict(os.environ)
    done = subprocess.run(
        [*map(str, command)],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    return done.stdout, done.stderr


@pytest.fixture
def document(matching_server: Server, tmp_path: Path) -> Path:
    """Return the document of a server that has every route, as a file."""
    file = tmp_path / "docs.json"
    file.write_text(httpx.get(f"{matching_server.url}/docs.json").text, encoding="utf-8")
    return file


def ask(script: str, server: Server, path: Path, cwd: Path) -> dict[str, Any]:
    """Return what a generated client was answered, by the names of calls."""
    assert compileall.compile_dir(path, quiet=2)
    picture = cwd / "picture.png"
    picture.write_bytes(PICTURE)
    data_url = "data:image/png;base64," + base64.b64encode(PICTURE).decode()
    written, _ = run(
        sys.executable, SCRIPTS / script, server.url, picture, data_url, path=path, cwd=cwd
    )
    answers: dict[str, Any] = json.loads(written)
    return answers


def check(answers: dict[str, Any]) -> None:
    assert len(answers.pop("chat")) == 2
    single = answers.pop("caption")
    assert single[0] == CAPTION and len(single) == 2
    assert answers == {
        "nameless": [CAPTION],
        "caption_batch": [CAPTION, CAPTION],
        "caption_url": [CAPTION],
        "match": ["a cat", "a dog"],
        "refused": 422,
        "models": ["compact", "bridgetower"],
        "model": "compact",
        "ready": 200,
    }


def test_openapi_python_client(document: Path, matching_server: Server, tmp_path: Path) -> None:
    tool = tmp_path / "tool"
    install = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", tool)
    done = subprocess.run([*install, *PYTHON_CLIENT], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{PYTHON_CLIENT[0]} cannot be had: {done.stderr.strip()[-200:]}")
    config = tmp_path / "config.yml"
    config.write_text("post_hooks: []\n")
    made = tmp_path / "made"
    options = ("--path", document, "--output-path", made / "captionbox_client", "--meta", "none")
    command = (sys.executable, "-m", "openapi_python_client", "generate", *options)
    said = "".join(run(*command, "--config", config, path=tool, cwd=tmp_path))
    # It leaves out what it does not understand, and warns.
    assert "WARNING" not in said and "Warning" not in said, said
    check(ask("by_openapi_python_client.py", matching_server, made, tmp_path))


def generate(language: str, document: Path, cwd: Path) -> Path:
    """Return the folder of the client that openapi-generator makes."""
    if shutil.which("java") is None:
        pytest.skip("openapi-generator needs Java")
    package = importlib.util.find_spec("openapi_generator_cli")
    if package is None or package.origin is None:
        pytest.skip("no openapi-generator-cli: pip install -r requirements-dev.lock")
    jar = Path(package.origin).with_name("openapi-generator.jar")
    made = cwd / "made"
    run("java", "-jar", jar, "generate", "-i", document, "-g", language, "-o", made, cwd=cwd)
    return made


def test_openapi_generator(document: Path, matching_server: Server, tmp_path: Path) -> None:
    made = generate("python", document, tmp_path)
    check(ask("by_openapi_generator.py", matching_server, made, tmp_path))


@pytest.mark.parametrize(
    ("language", "file", "operation"),
    [
        ("typescript-fetch", "apis/CaptionsApi.ts", "async chatCompletions("),
        ("go", "api_captions.go", ") ChatCompletions("),
    ],
)
def test_openapi_generator_in_other_languages(
    document: Path, tmp_path: Path, language: str, file: str, operation: str
) -> None:
    made = generate(language, document, tmp_path)
    assert operation in (made / file).read_text(encoding="utf-8")
