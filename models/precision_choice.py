"""Choose what a model computes in: what its card allows, what the processor has, what is fastest.

The measurement takes about a second for `compact`. It is made on drawn pictures, the same for every
candidate, and its outcome is kept so that people can read it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from models.catalogue import captioner_class, load_captioner
from models.interface import Captioner, CaptionOptions
from models.metadata import ModelMetadata, read
from models.precision import (
    Precision,
    PrecisionSetting,
    has_bf16,
    has_int8,
    keeps_its_scores,
)

logger = logging.getLogger(__name__)

_PICTURES = 4
_REPEATS = 3
_GAIN = 0.9
"""A narrower format must take less than this share of the time before it is taken."""


class PrecisionChoice(BaseModel):
    """What a model computes in, and why.

    Attributes:
        precision: the format.
        asked: the setting.
        ms_per_caption: measured time by format; empty where nothing was measured.
    """

    model_config = ConfigDict(frozen=True)

    precision: Precision
    asked: PrecisionSetting
    ms_per_caption: dict[Precision, float] = {}


def candidates(metadata: ModelMetadata, kind: type[Captioner]) -> list[Precision]:
    """Return the formats that may be chosen for a model on this processor, float32 first."""
    reference = {
        split: scores["cider"] for split, scores in metadata.metrics.items() if "cider" in scores
    }
    found: list[Precision] = ["fp32"]
    if "bf16" in kind.precisions and has_bf16():
        found.append("bf16")
    measured = metadata.cider_by_precision.get("int8", {})
    if "int8" in kind.precisions and has_int8() and keeps_its_scores(measured, reference):
        found.append("int8")
    return found


def load_fastest(
    directory: Path,
    asked: PrecisionSetting,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[Captioner, PrecisionChoice]:
    """Load a model in the precision that was asked for, or in the fastest that is allowed.

    Args:
        directory: the model's.
        asked: `"auto"` measures; anything else is taken as it is.
        clock: seconds.

    Raises:
        models.metadata.BrokenModelError: the model is damaged.
        ValueError: the model's method cannot compute in the precision asked for.
    """
    if asked != "auto":
        return load_captioner(directory, asked), PrecisionChoice(precision=asked, asked=asked)
    metadata = read(directory)
    allowed = candidates(metadata, captioner_class(metadata.method))
    best = load_captioner(directory, allowed[0])
    choice = PrecisionChoice(precision=allowed[0], asked=asked)
    if len(allowed) == 1:
        return best, choice
    taken = allowed[0]
    seconds = {taken: _seconds(best, clock)}
    for precision in allowed[1:]:
        # At most two copies of a model are in memory at a time.
        other = load_captioner(directory, precision)
        seconds[precision] = _seconds(other, clock)
        if seconds[precision] < seconds[taken] * _GAIN:
            best, taken = other, precision
    shown = {name: round(value * 1000 / _PICTURES, 2) for name, value in seconds.items()}
    logger.info(
        "%s computes in %s: %s",
        metadata.method,
        taken,
        ", ".join(f"{name} {value} ms a caption" for name, value in shown.items()),
    )
    return best, PrecisionChoice(precision=taken, asked=asked, ms_per_caption=shown)


def _seconds(captioner: Captioner, clock: Callable[[], float]) -> float:
    """Return the least time to caption the drawn pictures one by one."""
    pictures = _drawn(captioner.preprocess.height, captioner.preprocess.width)
    options = CaptionOptions()
    captioner.caption(pictures[:1], options)
    best = float("inf")
    for _ in range(_REPEATS):
        started = clock()
        for index in range(len(pictures)):
            captioner.caption(pictures[index : index + 1], options)
        best = min(best, clock() - started)
    return best


def _drawn(height: int, width: int) -> NDArray[np.uint8]:
    """Return pictures `uint8 [_PICTURES, 3, H, W]` of gradients with a square in each."""
    down = np.linspace(0, 255, height)[None, :, None]
    right = np.linspace(0, 255, width)[None, None, :]
    tint = np.array([1.0, 0.7, 0.4])[:, None, None]
    out = np.empty((_PICTURES, 3, height, width), np.uint8)
    for index in range(_PICTURES):
        share = index / (_PICTURES - 1)
        out[index] = (down * share + right * (1 - share)) * np.roll(tint, index, 0)
        top, left = height * index // (2 * _PICTURES), width * index // (2 * _PICTURES)
        out[index, index % 3, top : top + height // 2, left : left + width // 2] = 230
    return out
