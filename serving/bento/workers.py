"""How many engine processes serve, where the settings leave it open.

Small models do not keep two cores busy with one picture's, or one batch's, small products: two
processes answer half as many pictures again in a second as one with two threads, and one picture is
no slower (`docs/performance.md`). Large models do, and two copies of them may not fit.
"""

from __future__ import annotations

from models.api.metadata import BrokenModelError
from models.store import ModelNotFoundError
from serving.base.machine import available_cores, available_memory
from serving.base.settings import Settings
from serving.contract.served_models import ServedModels, WrongKindError

SMALL_BYTES = 100 * 1024**2
"""Weights of all served models together that are no burden twice."""

NEEDED_BYTES = 3 * 1024**3
"""The gateway, two engine processes of small models and large pictures take half of it: the other
half is for the server beside it in an update, and for everything else."""


def decide_workers(settings: Settings) -> Settings:
    """Return the settings with the number of engine processes filled in."""
    if settings.engine_workers is not None:
        return settings
    two = (
        available_cores() >= 2 * (settings.threads or 1)
        and available_memory() >= NEEDED_BYTES
        and _weight_bytes(settings) <= SMALL_BYTES
    )
    return settings.model_copy(update={"engine_workers": 2 if two else 1})


def _weight_bytes(settings: Settings) -> float:
    """Return the size of all weights; without end where that cannot be told."""
    try:
        models = ServedModels(settings.models, settings.matcher)
    except (BrokenModelError, ModelNotFoundError, WrongKindError):
        return float("inf")  # said, with what is wrong, when the server starts
    return sum(
        file.stat().st_size for model in models.all() for file in model.path.rglob("*.safetensors")
    )
