"""LiteLLM and LangChain, which bring more packages than the tests' environment is to have."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import venv
from pathlib import Path
from typing import Any

import pytest

from tests.asking import PICTURE
from tests.drawings import caption_of
from tests.server import Server

PACKAGES = ("litellm==1.110.2", "langchain-openai==1.7.4", "langchain-core==1.8.3")
SCRIPTS = Path(__file__).with_name("clients")
RING = caption_of("red ring")

pytestmark = [pytest.mark.timeout(600), pytest.mark.long]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the interpreter of an environment of their own."""
    folder = tmp_path_factory.mktemp("clients")
    venv.create(folder, with_pip=True, symlinks=True)
    interpreter = folder / "bin" / "python"
    command = [str(interpreter), "-m", "pip", "install", "--quiet", *PACKAGES]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{', '.join(PACKAGES)} cannot be had: {done.stderr.strip()[-200:]}")
    return interpreter


def ask(python: Path, script: str, server: Server) -> Any:
    url = "data:image/png;base64," + base64.b64encode(PICTURE).decode()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    # Nothing of theirs is to ask anyone else.
    kept |= {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LANGSMITH_TRACING": "false"}
    done = subprocess.run(
        [python, SCRIPTS / script, server.url, url],
        env=kept,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    return json.loads(done.stdout)


def test_litellm(python: Path, server: Server) -> None:
    ways = ("chat", "async", "stream", "json", "responses")
    assert ask(python, "by_litellm.py", server) == dict.fromkeys(ways, RING)


def test_langchain(python: Path, server: Server) -> None:
    ways = {
        **dict.fromkeys(("invoke", "stream", "async", "again"), RING),
        "structured": [RING, "ring", "paper"],
    }
    assert ask(python, "by_langchain.py", server) == {"chat": ways, "responses": ways}
