"""How the engine's threads wait is said before torch reads it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.server import ROOT

# One thread: every machine has a core for it, and torch would take all that there are by itself.
_PROGRAM = """
import os, sys
from serving.engine.loading import use_threads
use_threads(1)
assert "torch" not in sys.modules
import torch
print(torch.get_num_threads(), os.environ["OMP_NUM_THREADS"], os.environ["GOMP_SPINCOUNT"])
"""


@pytest.mark.parametrize(("given", "expected"), [("", "5000"), ("77", "77")])
def test_threads_and_their_patience(
    given: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    if given:
        monkeypatch.setenv("GOMP_SPINCOUNT", given)
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["1", "1", expected]
