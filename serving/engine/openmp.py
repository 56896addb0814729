"""How torch's OpenMP threads, libgomp's, compute in an engine process."""

from __future__ import annotations

import os

_SPINS = 5000
"""Turns that a thread waits awake for the next product, then asleep. Without this, 300,000: on a
machine with other work to do, threads keep each other from the cores, and a batch takes many times
as long. With much less, threads fall asleep between two products of one network. See
`docs/performance.md`."""


def variables(count: int) -> dict[str, str]:
    """Return the environment variables that set the number of threads, and how they wait."""
    spins = os.environ.get("GOMP_SPINCOUNT", str(_SPINS))
    return {"OMP_NUM_THREADS": str(count), "GOMP_SPINCOUNT": spins}


def use_threads(count: int) -> None:
    """Set them in this process; before torch is imported."""
    os.environ.update(variables(count))
