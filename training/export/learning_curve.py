"""How a run learnt, from its `log.jsonl`."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

from training.export.charts import Point
from training.export.run_directory import LOG_NAME, find_in_run


def log_of(model: str) -> Path | None:
    """Return the log of the run that `model` is, or is the best model of; None if it is neither."""
    return find_in_run(model, LOG_NAME)


def read_curves(log: Path, names: Sequence[str]) -> dict[str, list[Point]]:
    """Return (epoch, value) points, ascending, of those `names` that the log holds.

    A resumed run has written some steps twice; the later line counts. Lines that a kill cut off and
    values that are no finite numbers are left out.
    """
    found: dict[str, dict[int, Point]] = {name: {} for name in names}
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            entry = json.loads(line)
            step, epoch = int(entry["step"]), float(entry["epoch"] or 0.0)
        except (ValueError, KeyError, TypeError):
            continue
        for name in names:
            value = entry.get(name)
            if isinstance(value, (int, float)) and math.isfinite(value) and math.isfinite(epoch):
                found[name][step] = (epoch, float(value))
    return {
        name: [point for _, point in sorted(points.items())]
        for name, points in found.items()
        if points
    }
