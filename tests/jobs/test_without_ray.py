"""Ray is optional: who lacks it is told so, by the command."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from jobs.caption_dataset import main


def test_the_command_tells_what_it_needs(
    tiny_model: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "ray"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "jobs.pipeline", raising=False)
    monkeypatch.setitem(sys.modules, "ray", None)  # as where it is not installed
    monkeypatch.delattr("jobs.pipeline", raising=False)
    command = ["--input", str(tmp_path), "--output", str(tmp_path / "out.jsonl")]
    assert main([*command, "--model", str(tiny_model)]) == 2
    assert "this needs `pip install -r requirements-ray.lock`" in caplog.text
