"""A run's folder: what is where, and what must hold before anything is trained.

RUN/recipe.json        the recipe, overrides applied
RUN/data.json          data sets and splits
RUN/step.json          how many pictures an optimiser step sees, of all processes together
RUN/tokenizer.json     vocabulary, made from the training captions
RUN/start/             the model the run went on from, if any
RUN/log.jsonl          one JSON object a line: loss, learning rate, validation scores
RUN/features/          what a trunk that stands still makes of the pictures, where it is kept
RUN/checkpoint-STEP/   the trainer's state, for --resume (last and best)
RUN/model/             the best model so far, ready to evaluate and register
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from training.data.machine import shortage

LOG_NAME = "log.jsonl"
MODEL_NAME = "model"
START_NAME = "start"
RECIPE_NAME = "recipe.json"
DATA_NAME = "data.json"
STEP_NAME = "step.json"
FEATURES_NAME = "features"

_KEPT_CHECKPOINTS = 3  # the best, the last, and the one being written
_EXPORTS = 2  # the best model, and the one that replaces it


class RunError(ValueError):
    """A run cannot start or go on; the message says why and what to do."""


def prepare(run: Path, resume: bool) -> None:
    """Make the run's folder and check that a run can be kept there.

    Raises:
        RunError: it cannot be written, holds another run (without `resume`), or holds none (with
            it).
    """
    has_run = (run / RECIPE_NAME).is_file()
    if resume and not has_run:
        raise RunError(f"{run}: nothing to resume there; leave --resume out to start a run")
    if not resume and has_run:
        raise RunError(
            f"{run}: holds a run already; --resume continues it, or choose another --out"
        )
    try:
        run.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=run) as probe:
            probe.write(b"x")
    except OSError as error:
        raise RunError(f"{run}: cannot be written: {error.strerror}") from error


def require_space(run: Path, parameters: int, averaged: bool) -> None:
    """Check that a run's checkpoints fit on the disk.

    Args:
        run: the run's folder.
        parameters: number of weights.
        averaged: whether checkpoints hold a moving average of them too.

    Raises:
        RunError: they do not.
    """
    # float32: the weights and AdamW's two moments; exports are float16.
    checkpoint = 4 * parameters * (4 if averaged else 3)
    held = sum(file.stat().st_size for file in run.rglob("*") if file.is_file())
    needed = _KEPT_CHECKPOINTS * checkpoint + _EXPORTS * 2 * parameters - held
    if lacking := shortage(run, max(0, needed)):
        raise RunError(f"{run}: {lacking} for checkpoints")


def find_in_run(model: str, name: str) -> Path | None:
    """Return a file of the run that `model` is, or is the best model of; None if it is neither."""
    folder = Path(model)
    folders = [folder, folder.parent] if folder.name == MODEL_NAME else [folder]
    return next((f / name for f in folders if (f / name).is_file()), None)


def complete_checkpoints(run: Path) -> list[Path]:
    """Return the run's usable checkpoints, oldest first.

    The trainer writes its state file last: a checkpoint without one was cut off by a kill.
    """
    found = []
    for folder in run.glob("checkpoint-*"):
        number = folder.name.rpartition("-")[2]
        try:
            json.loads((folder / "trainer_state.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if number.isdigit():
            found.append((int(number), folder))
    return [folder for _, folder in sorted(found)]


def append_log(run: Path, entry: dict[str, Any]) -> None:
    """Add one line to the run's log."""
    with (run / LOG_NAME).open("a", encoding="utf-8") as log:
        log.write(json.dumps(entry) + "\n")


def git_sha() -> str:
    """Return this checkout's commit, `-dirty` added where files differ; empty outside git."""
    here = Path(__file__).resolve().parent
    try:
        sha = _git(here, "rev-parse", "HEAD")
        return (
            f"{sha}-dirty" if _git(here, "status", "--porcelain", "--untracked-files=no") else sha
        )
    except (OSError, subprocess.CalledProcessError):
        return ""


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()
