"""Everything that runs on a device: on a GPU at true size, and small on the processor."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from models.api.device import CPU
from models.runtimes.devices import find_device, gpu_count
from tests.gpu.everything import GPU, TINY, run_everything
from tests.server import ROOT


@pytest.mark.gpu
@pytest.mark.timeout(600)
def test_on_a_gpu(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if not gpu_count():
        pytest.skip("no GPU that torch can use: make test-gpu on a machine with one")
    began = time.perf_counter()
    told = run_everything(tmp_path, find_device("cuda"), GPU)
    with capsys.disabled():
        print("", *told.lines(), sep="\n")
    assert time.perf_counter() - began < 240
    assert told.speed["compact"] > 0


def test_the_same_on_the_processor(tmp_path: Path) -> None:
    """So that it works when there is a GPU to run it on."""
    told = run_everything(tmp_path, CPU, TINY)
    assert {"resume compact", "scst, beam", "scst, sample", "match"} <= set(told.seconds)


@pytest.mark.long
def test_the_same_on_a_device_that_refuses_two(tmp_path: Path) -> None:
    """The GPU's own branches, without a GPU: see `tests.elsewhere`."""
    job = {"name": "all", "kind": "everything", "folder": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "tests.on_elsewhere", json.dumps([job])],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {"all": ""}, done.stdout
