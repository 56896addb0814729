"""How the tests themselves are run: how many processes, which files first."""

from __future__ import annotations

from pathlib import Path

import pytest

from serving.base.machine import available_cores, available_memory
from tests import running


def test_one_process_more_than_cores(request: pytest.FixtureRequest) -> None:
    hooks = request.config.pluginmanager.hook
    if not hasattr(hooks, "pytest_xdist_auto_num_workers"):
        pytest.skip("pytest-xdist is switched off")
    # What xdist takes, not what our hook alone says: xdist itself counts the cores.
    chosen = hooks.pytest_xdist_auto_num_workers(config=request.config)
    room = available_memory() // (3 * 1024**3)
    assert chosen == max(1, min(available_cores() + 1, room))


def test_estimates_are_of_files_that_exist() -> None:
    root = Path(running.__file__).parents[1]
    assert [name for name in running._recorded() if not (root / name).is_file()] == []
