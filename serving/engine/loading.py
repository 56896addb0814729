"""How an engine process gets ready: its threads, and models that compute alike in all of them."""

from __future__ import annotations

import os
from pathlib import Path

from models.api.captioner import Captioner
from models.api.device import BackendSetting, PrecisionSetting
from models.choose import load_fastest
from models.registry import load_captioner
from serving.contract import run_record

_SPINS = 5000
"""Turns that a thread waits awake for the next product, then asleep. Without this, 300,000: on a
machine with other work to do, threads keep each other from the cores, and a batch takes many times
as long. With much less, threads fall asleep between two products of one network. See
`docs/performance.md`."""


def variables(count: int) -> dict[str, str]:
    """Return the environment variables that set the number of threads, and how they wait.

    They are those of torch's OpenMP, libgomp.
    """
    spins = os.environ.get("GOMP_SPINCOUNT", str(_SPINS))
    return {"OMP_NUM_THREADS": str(count), "GOMP_SPINCOUNT": spins}


def use_threads(count: int) -> None:
    """Set them in this process; before torch is imported."""
    os.environ.update(variables(count))


def load(
    name: str, directory: Path, asked: PrecisionSetting, backend: BackendSetting = "torch"
) -> Captioner:
    """Load a model to compute as is on the run's record, or choose how and put it there.

    Args:
        name: the model's.
        directory: the model's.
        asked: the setting.
        backend: the setting.

    Raises:
        models.api.device.BackendError: the model does not run on the backend asked for.
        models.api.metadata.BrokenModelError: the model is damaged.
        ValueError: the model's method cannot compute in the precision asked for.
    """
    if not run_record.is_open():
        return load_fastest(directory, asked, backend)[0]
    with run_record.alone(name):
        choice = run_record.chosen(name)
        if choice is None:
            captioner, choice = load_fastest(directory, asked, backend)
            run_record.choose(name, choice)
            return captioner
    return load_captioner(directory, choice.precision, choice.backend)
