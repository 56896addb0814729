"""Captioned pictures as training batches: one picture with several of its captions an item."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from models.api.preprocessing import Pixels
from models.captioners.base import CaptionVocabulary
from models.layers.network_protocol import IGNORED, TrainableNetwork
from training.data.augmentation import augment
from training.data.coco import CaptionedImage, DataError
from training.data.feature_cache import FeatureCache, Features
from training.data.mixture import Mixture
from training.data.pictures import PictureReader
from training.recipes.recipe import Augmentation

logger = logging.getLogger(__name__)

T = TypeVar("T")

_REPLACEMENTS = 100
"""Pictures tried in place of an unreadable one."""
_NONE = Augmentation()


@dataclass(frozen=True)
class TrainingItem:
    """One picture with the token ids of some of its captions.

    Attributes:
        pixels: `uint8 [3, H, W]`; or
        captions: token ids without start and end tokens.
        index: the picture's place in the data set.
        features: `float16 [S, C]`, what the trunk made of the picture before.
    """

    pixels: Pixels | None
    captions: list[list[int]]
    index: int
    features: Features | None = None


class Encoder(Protocol):
    """A vocabulary, as far as a data set needs it."""

    def encode(self, caption: str) -> list[int]:
        """Return the ids of a caption, without start and end tokens."""


class TrainingVocabulary(CaptionVocabulary, Encoder, Protocol):
    """A vocabulary to train with: encodes, decodes, travels with the model."""

    def save(self, directory: Path) -> None:
        """Write it into `directory`."""


class CaptionDataset(Dataset[TrainingItem]):
    """Training pictures with random captions and random augmentation.

    Everything random is drawn from (seed, epoch, picture), so a resumed run sees what an
    uninterrupted one would have seen. A picture that cannot be decoded is named once and replaced
    by another, which also depends on (seed, epoch, picture) only.

    Args:
        images: pictures and references.
        tokenizer: the run's vocabulary.
        reader: gives pixels at the network's input size.
        augmentation: random changes.
        captions_per_image: captions per item, drawn without replacement.
        max_tokens: longer captions are cut to this many words.
        seed: of all randomness.
        mixture: which pictures a pass shows; None shows all of them once.

    Attributes:
        features: of the pictures, to be shown in their place; None shows pixels.
    """

    def __init__(
        self,
        images: Sequence[CaptionedImage],
        tokenizer: Encoder,
        reader: PictureReader,
        augmentation: Augmentation,
        captions_per_image: int,
        max_tokens: int,
        seed: int,
        mixture: Mixture | None = None,
    ) -> None:
        self.images = images
        self.reader = reader
        self.augmentation = augmentation
        self.captions_per_image = captions_per_image
        self.seed = seed
        self.mixture = mixture or Mixture((len(images),), (1.0,), seed)
        self.features: FeatureCache | None = None
        self._captions = [
            [tokenizer.encode(text)[:max_tokens] for text in image.references] for image in images
        ]
        # In shared memory: workers of the data loader find out, the training process asks.
        self._unreadable = torch.zeros(len(images), dtype=torch.bool).share_memory_()
        # Likewise: workers outlive an epoch, and have to learn that another has begun.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()
        self._shown = -1
        self.set_epoch(0)

    @property
    def epoch(self) -> int:
        """The pass, 0-based, whose random choices the items show."""
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Choose the pass, in all processes that read for this one."""
        self._epoch.fill_(epoch)

    def _show(self, epoch: int) -> None:
        if epoch != self._shown:
            self._pictures, self._repetitions = self.mixture.epoch(epoch)
            self._shown = epoch

    @property
    def unreadable(self) -> int:
        """Number of pictures that could not be decoded so far."""
        return int(self._unreadable.sum())

    def __len__(self) -> int:
        """Return the number of pictures in a pass."""
        return len(self.mixture)

    def __getitem__(self, index: int) -> TrainingItem:
        """Return one picture, changed and captioned as (seed, epoch, picture) says.

        Its features instead, where there are any: views take turns from pass to pass.

        Raises:
            DataError: neither the picture nor any of a hundred others can be read.
        """
        self._show(self.epoch)
        picture, repetition = int(self._pictures[index]), int(self._repetitions[index])
        random = np.random.default_rng((self.seed, self.epoch, picture, repetition))
        features: Features | None = None
        pixels: Pixels | None = None
        cache = self.features
        if cache is not None:
            view = (self.epoch + repetition) % cache.views
            picture, features = self._readable(
                picture, repetition, lambda place: cache.get(place, view)
            )
        else:
            picture, whole = self._readable(picture, repetition, self._read)
            pixels = np.ascontiguousarray(self._changed(whole, random).transpose(2, 0, 1))
        captions = self._captions[picture]
        if len(captions) > self.captions_per_image:
            chosen = random.choice(len(captions), self.captions_per_image, replace=False)
            captions = [captions[i] for i in chosen]
        return TrainingItem(pixels, captions, picture, features)

    def view(self, picture: int, view: int) -> Pixels | None:
        """Return a picture `uint8 [H, W, 3]` changed as the pass `view` shows it.

        None where it cannot be read, which is counted and logged.
        """
        try:
            pixels = self._read(picture)
        except DataError as error:
            if not self._unreadable[picture]:
                self._unreadable[picture] = True
                logger.warning("%s; others take its place", error)
            return None
        return self._changed(pixels, np.random.default_rng((self.seed, view, picture, 0)))

    def _read(self, picture: int) -> Pixels:
        return self.reader(self.images[picture])

    def _changed(self, pixels: Pixels, random: np.random.Generator) -> Pixels:
        if self.augmentation == _NONE:
            return pixels
        changed = augment(Image.fromarray(pixels), self.augmentation, random)
        return np.asarray(changed, dtype=np.uint8)

    def _readable(self, picture: int, repetition: int, read: Callable[[int], T]) -> tuple[int, T]:
        """Return the picture or one that can be read in its place, and what `read` gives of it."""
        random = np.random.default_rng((self.seed, self.epoch, picture, repetition, 1))
        for _ in range(_REPLACEMENTS):
            if not self._unreadable[picture]:
                try:
                    return picture, read(picture)
                except DataError as error:
                    self._unreadable[picture] = True
                    logger.warning("%s; others take its place", error)
            picture = int(random.integers(len(self.images)))
        raise DataError(f"{_REPLACEMENTS} pictures in a row cannot be read")


def stack_pictures(items: Sequence[TrainingItem]) -> dict[str, Tensor]:
    """Return the items' `pixels`, `uint8 [B, 3, H, W]`, or `features`, `float16 [B, S, C]`."""
    pixels = [item.pixels for item in items if item.pixels is not None]
    if pixels:
        return {"pixels": torch.from_numpy(np.stack(pixels))}
    features = [item.features for item in items if item.features is not None]
    return {"features": torch.from_numpy(np.stack(features))}


@dataclass(frozen=True)
class Collate:
    """Makes a batch for `TrainableNetwork.forward`; the attributes are the network's token ids."""

    bos_id: int
    eos_id: int
    pad_id: int
    unknown_id: int | None

    @classmethod
    def of(cls, network: TrainableNetwork) -> Self:
        """Return the one that fits a network."""
        return cls(network.bos_id, network.eos_id, network.pad_id, network.unknown_id)

    def __call__(self, items: Sequence[TrainingItem]) -> dict[str, Tensor]:
        """Return a batch.

        Returns:
            `pixels` or `features` as `stack_pictures`; `input_ids` int64 `[B, C, T]`, start token
            first;
            `labels` int64 `[B, C, T]`, one end token last, `IGNORED` where there is nothing to
            learn: after the end and for unknown words.
        """
        captions = max(len(item.captions) for item in items)
        length = 1 + max(len(caption) for item in items for caption in item.captions)
        shape = (len(items), captions, length)
        input_ids = torch.full(shape, self.pad_id, dtype=torch.int64)
        labels = torch.full(shape, IGNORED, dtype=torch.int64)
        for row, item in enumerate(items):
            for column, caption in enumerate(item.captions):
                size = len(caption) + 1
                input_ids[row, column, :size] = torch.tensor([self.bos_id, *caption])
                labels[row, column, :size] = torch.tensor([*caption, self.eos_id])
        if self.unknown_id is not None:
            # The network ignores them by itself; here, so that whoever counts labels counts right.
            labels[labels == self.unknown_id] = IGNORED
        return {**stack_pictures(items), "input_ids": input_ids, "labels": labels}
