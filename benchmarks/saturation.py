"""What the model reaches without a server, and how much of that a busy server gives."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Protocol

from benchmarks.tools.stack import ROOT
from benchmarks.tools.workspace import Workspace
from models.api.device import Backend
from serving.engine.loading import variables


@dataclass(frozen=True)
class Alone:
    """A model without a server.

    Attributes:
        model: its directory.
        precision: what it computes in.
        threads: for the model.
        backend: what computes it.
    """

    model: Path
    precision: str
    threads: int
    backend: Backend = "torch"

    def measure(self, workspace: Workspace, images: Path, batch: int) -> dict[str, float]:
        """Return `per_second`, `cpu_ms` a caption and `p50_ms` a batch; see `benchmarks.bare`."""
        command = [sys.executable, "-m", "benchmarks.bare", str(self.model), self.precision]
        options = ["--backend", self.backend, "--images", str(images), "--batch", str(batch)]
        with (workspace.logs / "bare.log").open("w", encoding="utf-8") as stderr:
            done = subprocess.run(
                [*command, *options, "--threads", str(self.threads)],
                cwd=ROOT,
                env={**os.environ, **variables(self.threads)},
                check=True,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        found: dict[str, float] = json.loads(done.stdout)
        return found


class Rate(Protocol):
    """A run of load, as far as it counts here."""

    @property
    def per_second(self) -> float:
        """Captions a second."""


def saturation(
    alone: Callable[[], Mapping[str, float]], server: Callable[[], Rate], rounds: int
) -> dict[str, float]:
    """Measure rates of a model alone and of its busy server, in turn.

    Returns:
        `alone` and `server`, medians, captions a second; `share`, the median of their ratios.
    """
    pairs = [(alone()["per_second"], server().per_second) for _ in range(rounds)]
    return {
        "alone": median(first for first, _ in pairs),
        "server": median(second for _, second in pairs),
        "share": median(second / first for first, second in pairs),
    }
