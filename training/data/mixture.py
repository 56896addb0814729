"""A mix of data sets: how often each one's pictures come in a pass."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.data.coco import DataError

_LARGEST_WEIGHT = 100.0


@dataclass(frozen=True)
class DataSource:
    """A data set folder and its weight.

    Attributes:
        folder: root of the data set, in any layout of `training.data.coco`.
        weight: passes over its pictures per epoch: 1 all of them once, 2 twice, 0.5 half of them,
            chosen anew each epoch. In (0, 100].
        layout: which to take where the folder holds several, see `training.data.layouts`.
    """

    folder: Path
    weight: float = 1.0
    layout: str | None = None

    @classmethod
    def parse(cls, text: str, layout: str | None = None) -> DataSource:
        """Read `DIR` or `DIR=WEIGHT`, as the command line has it.

        Raises:
            DataError: the weight is no number or out of range.
        """
        name, separator, number = text.rpartition("=")
        # A folder may have an equals sign in its own name.
        if not separator or not name or Path(text).is_dir():
            return cls(Path(text), layout=layout)
        try:
            weight = float(number)
        except ValueError:
            raise DataError(f"{text}: the weight must be a number, got {number!r}") from None
        if not 0 < weight <= _LARGEST_WEIGHT:  # NaN fails too
            raise DataError(f"{text}: the weight must be above 0 and at most {_LARGEST_WEIGHT:g}")
        return cls(Path(name), weight, layout)


@dataclass(frozen=True)
class Mixture:
    """Which pictures a pass shows, for data sets laid end to end.

    Attributes:
        sizes: pictures per data set.
        weights: of the data sets, see `DataSource`.
        seed: of the choice.
    """

    sizes: tuple[int, ...]
    weights: tuple[float, ...]
    seed: int

    def __post_init__(self) -> None:
        """Raise `DataError` if a weight leaves nothing of its data set."""
        for size, weight in zip(self.sizes, self.weights, strict=True):
            if _rounded(size * weight) == 0:
                raise DataError(f"weight {weight:g} of {size} pictures leaves none")

    def __len__(self) -> int:
        """Return the number of pictures in a pass, the same in every pass."""
        return sum(
            _rounded(size * weight) for size, weight in zip(self.sizes, self.weights, strict=True)
        )

    def epoch(self, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the pictures of a pass and, where one comes repeatedly, the how manieth it is.

        Decided by (seed, epoch) alone. With all weights 1 picture i is at place i.

        Args:
            epoch: 0-based.

        Returns:
            Indices into the joined data sets and 0-based repetitions, `[len(self)]` each.
        """
        pictures, repetitions = [], []
        first = 0
        for part, (size, weight) in enumerate(zip(self.sizes, self.weights, strict=True)):
            whole, rest = divmod(_rounded(size * weight), size)
            for repetition in range(whole):
                pictures.append(np.arange(first, first + size))
                repetitions.append(np.full(size, repetition))
            if rest:
                # The last numbers keep this stream apart from those of the pictures' own changes.
                random = np.random.default_rng((self.seed, epoch, part, 0, 2))
                chosen = np.sort(random.choice(size, rest, replace=False))
                pictures.append(first + chosen)
                repetitions.append(np.full(rest, whole))
            first += size
        return np.concatenate(pictures), np.concatenate(repetitions)


def described(weights: Sequence[float]) -> list[str]:
    """Return what a model card says of weights: nothing where it is 1."""
    return ["" if weight == 1 else f", weight {weight:g}" for weight in weights]


def _rounded(number: float) -> int:
    # Python's own rounding takes 0.5 to 0 and 1.5 to 2.
    return math.floor(number + 0.5)
