"""The server against its own OpenAPI document, by schemathesis: no 5xx, nothing undocumented."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.asking import caption
from tests.server import ROOT, Server

# What a schema allows may still be refused: bytes that are no picture, options that contradict each
# other or that the model cannot honour.
_EXCLUDED = "positive_data_acceptance"


def fuzz(server: Server, cwd: Path, examples: int, seed: int) -> int:
    """Send cases to every operation; return how many. Fails with the command's own report."""
    done = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("st")), "run", f"{server.url}/docs.json"),
            *("--url", server.url, "--max-examples", str(examples), "--seed", str(seed)),
            *("--exclude-checks", _EXCLUDED, "--continue-on-failure", "--no-color"),
        ],
        cwd=cwd,
        env={**os.environ, "SCHEMATHESIS_HOOKS": "tests.fuzz_inputs", "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1500,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:]
    generated = re.search(r"(\d+) generated, \1 passed", done.stdout)
    assert generated is not None, done.stdout[-3000:]
    return int(generated[1])


def test_a_few_hundred_cases(server: Server, client: httpx.Client, tmp_path: Path) -> None:
    assert fuzz(server, tmp_path, examples=8, seed=0) >= 200
    assert caption(client).status_code == 200
    assert "Traceback" not in server.log.read_text(errors="replace")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_thousands_of_cases(server: Server, client: httpx.Client, tmp_path: Path) -> None:
    total = 0
    for seed in range(1, 10):
        total += fuzz(server, tmp_path, examples=200, seed=seed)
        if total >= 3000:
            break
    assert total >= 3000
    assert caption(client).status_code == 200
    assert "Traceback" not in server.log.read_text(errors="replace")
