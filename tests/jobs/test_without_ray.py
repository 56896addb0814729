"""Ray is optional: who lacks it is told so, by the command and by the tests."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from jobs.caption_dataset import main


def test_the_other_tests_of_this_folder_run() -> None:
    pytest.importorskip("ray", reason="ray is optional: pip install -r requirements-ray.lock")


@pytest.mark.skipif(find_spec("ray") is not None, reason="ray is installed")
def test_the_command_tells_what_it_needs(
    tiny_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    command = ["--input", str(tmp_path), "--output", str(tmp_path / "out.jsonl")]
    assert main([*command, "--model", str(tiny_model)]) == 2
    assert "this needs `pip install -r requirements-ray.lock`" in caplog.text
