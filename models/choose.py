"""Choose how a model computes: what its card allows, what the machine has, what is fastest.

The measurement takes about a second for `compact`. It is made on drawn pictures, the same for every
candidate, and its outcome is kept so that people can read it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.api.captioner import Captioner
from models.api.device import (
    Backend,
    BackendSetting,
    Precision,
    PrecisionChoice,
    PrecisionSetting,
    has_openvino,
    keeps_its_scores,
)
from models.api.metadata import ModelMetadata, read
from models.api.options import CaptionOptions
from models.registry import captioner_class, find_method, load_captioner
from models.runtimes.formats import formats
from models.runtimes.openvino.files import GraphsInfo, has_graphs
from models.runtimes.pictures import draw_pictures
from models.runtimes.processor import has_bf16, has_int8, has_vnni, multiplies_bf16

logger = logging.getLogger(__name__)

_PICTURES = 4
_REPEATS = 3
_GAIN = 0.9
"""A narrower format must take less than this share of the time before it is taken."""
_LARGE = 1_000_000_000
"""Weights beyond which no copy in float32 is loaded to be compared with one in bfloat16."""


class _Way(NamedTuple):
    """One way to compute."""

    backend: Backend
    precision: Precision

    def __str__(self) -> str:
        return self.precision if self.backend == "torch" else f"{self.backend} {self.precision}"


def candidates(metadata: ModelMetadata, kind: type[Captioner]) -> list[Precision]:
    """Return the formats that may be chosen for a model on this processor.

    Float32 is the first, but not among them for a large model that bfloat16 would halve.
    """
    found: list[Precision] = ["fp32"]
    if "bf16" in kind.precisions and has_bf16():
        if metadata.parameters > _LARGE:
            return ["bf16"]
        found.append("bf16")
    measured, reference = (metadata.measured_in(each, "cider") for each in ("int8", "fp32"))
    if "int8" in kind.precisions and has_int8() and keeps_its_scores(measured, reference):
        found.append("int8")
    return found


def _graph_candidates(directory: Path, asked: PrecisionSetting) -> list[Precision]:
    """Return the formats that may be chosen for a model's graphs, the reference first.

    By itself int8 is taken only where nothing else was made: the scores on a card are torch's.
    """
    if asked != "auto":
        return [asked]
    # Where there are no graphs, loading says so.
    there = GraphsInfo.read(directory).precisions if has_graphs(directory) else ()
    able = formats("openvino")
    found: list[Precision] = [
        each for each in there if each == "fp32" or (each == "bf16" in able and multiplies_bf16())
    ]
    return found or [each for each in there if each in able] or ["fp32"]


def _ways(directory: Path, asked: PrecisionSetting, backend: BackendSetting) -> list[_Way]:
    """Return every way to compute that the settings, the model and the machine allow."""
    metadata = read(directory)
    graphs = backend == "openvino" or (
        backend == "auto" and _runs_graphs(directory, metadata, asked)
    )
    if graphs:
        found = [_Way("openvino", precision) for precision in _graph_candidates(directory, asked)]
        if backend == "auto" and asked == "auto" and _torch_may_take_int8(metadata):
            found.append(_Way("torch", "int8"))
        return found
    kind = captioner_class(metadata.method)
    allowed = candidates(metadata, kind) if asked == "auto" else [asked]
    return [_Way("torch", precision) for precision in allowed]


def _runs_graphs(directory: Path, metadata: ModelMetadata, asked: PrecisionSetting) -> bool:
    """Whether graphs run a model where nobody has said what is to: where it has them.

    In the same format they are faster than torch, and an engine that runs graphs need not load
    torch at all.
    """
    if not has_openvino() or not find_method(metadata.method).openvino:
        return False
    if not has_graphs(directory):
        logger.info(
            "no graphs for OpenVINO in %s: torch runs the model, more slowly; "
            "`python -m models export-openvino NAME` makes them",
            directory,
        )
        return False
    return ("fp32" if asked == "auto" else asked) in GraphsInfo.read(directory).precisions


def _torch_may_take_int8(metadata: ModelMetadata) -> bool:
    """Whether torch's int8 is to be tried beside graphs: by a card that shows its scores."""
    # Asked in this order, most engines load no torch to be told no.
    return (
        has_vnni()
        and keeps_its_scores(*(metadata.measured_in(each, "cider") for each in ("int8", "fp32")))
        and find_spec("torch") is not None
        and "int8" in candidates(metadata, captioner_class(metadata.method))
    )


def load_fastest(
    directory: Path,
    asked: PrecisionSetting,
    backend: BackendSetting = "torch",
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[Captioner, PrecisionChoice]:
    """Load a model to compute as was asked for, or in the fastest way that is allowed.

    Args:
        directory: the model's.
        asked: `"auto"` measures; anything else is taken as it is.
        backend: `"auto"` takes the model's graphs where there are any, else torch.
        clock: seconds.

    Raises:
        models.api.device.BackendError: the model does not run on the backend asked for.
        models.api.metadata.BrokenModelError: the model is damaged.
        models.runtimes.formats.PrecisionError: this processor cannot compute in the precision.
        ValueError: the model's method cannot.
    """
    allowed = _ways(directory, asked, backend)
    taken = allowed[0]
    best = load_captioner(directory, taken.precision, taken.backend)
    seconds: dict[_Way, float] = {}
    for way in allowed[1:]:
        # At most two copies of a model are in memory at a time.
        other = load_captioner(directory, way.precision, way.backend)
        known, seconds[way] = _in_turn(best, other, clock)
        seconds[taken] = min(known, seconds.get(taken, known))
        if seconds[way] < known * _GAIN:
            best, taken = other, way
    shown = {
        str(way): round(seconds[way] * 1000 / _PICTURES, 2) for way in allowed if way in seconds
    }
    times = ", ".join(f"{name} {value} ms a caption" for name, value in shown.items())
    logger.info("%s computes in %s%s", best.method, taken, f": {times}" if times else "")
    return best, PrecisionChoice(
        precision=taken.precision,
        asked=asked,
        backend=taken.backend,
        backend_asked=backend,
        ms_per_caption=shown,
    )


def _in_turn(
    first: Captioner, second: Captioner, clock: Callable[[], float]
) -> tuple[float, float]:
    """Return the time that each takes to caption the drawn pictures one by one, in seconds.

    They take turns, and of every picture the least time counts: whoever else uses the machine slows
    both down, or is left out.
    """
    pictures = draw_pictures(first.preprocess.height, first.preprocess.width, _PICTURES)
    least = np.full((2, _PICTURES), np.inf)
    for captioner in (first, second):
        _seconds(captioner, pictures[:1], clock)  # warms up
    for _ in range(_REPEATS):
        for index in range(_PICTURES):
            for which, captioner in enumerate((first, second)):
                taken = _seconds(captioner, pictures[index : index + 1], clock)
                least[which, index] = min(least[which, index], taken)
    return float(least[0].sum()), float(least[1].sum())


def _seconds(
    captioner: Captioner, pictures: NDArray[np.uint8], clock: Callable[[], float]
) -> float:
    started = clock()
    captioner.caption(pictures, CaptionOptions())
    return clock() - started
