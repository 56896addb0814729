"""The data of a run: what it learns from and what judges it."""

from __future__ import annotations

from dataclasses import dataclass

from training.data.coco import CaptionData, load_split
from training.data.mixture import DataSource, described
from training.data.pictures import MAX_UNREADABLE, without_unreadable


@dataclass(frozen=True)
class Splits:
    """The data of a run.

    Attributes:
        train: one or more training splits.
        validation: the split whose CIDEr chooses the best model.
        weights: of the training splits, see `training.data.mixture`.
    """

    train: tuple[CaptionData, ...]
    validation: CaptionData
    weights: tuple[float, ...]

    @classmethod
    def load(cls, sources: list[DataSource], max_unreadable: float = MAX_UNREADABLE) -> Splits:
        """Read the `train` split of every folder and the `val` split of the first.

        Args:
            sources: folders and weights.
            max_unreadable: share of a split's pictures that may be missing or no pictures.

        Raises:
            DataError: a split is missing or broken, or too many of its pictures are.
        """
        # All annotations first: their mistakes show at once.
        train = [load_split(source.folder, "train", source.layout) for source in sources]
        validation = load_split(sources[0].folder, "val", sources[0].layout)
        return cls(
            tuple(without_unreadable(part, max_unreadable) for part in train),
            without_unreadable(validation, max_unreadable),
            tuple(source.weight for source in sources),
        )

    @property
    def all(self) -> tuple[CaptionData, ...]:
        """Training and validation splits."""
        return (*self.train, self.validation)

    @property
    def captions(self) -> list[str]:
        """All training captions."""
        return [text for part in self.train for text in part.captions]

    @property
    def described(self) -> list[str]:
        """One line per training split, for the model card."""
        return [
            f"{part.name}: {len(part)} pictures, {len(part.captions)} captions{weight}"
            for part, weight in zip(self.train, described(self.weights), strict=True)
        ]
