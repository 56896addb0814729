"""Captioned pictures as training batches: one picture with several of its captions an item."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

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
from training.data.mixture import Mixture
from training.data.pictures import PictureReader
from training.recipes.recipe import Augmentation

logger = logging.getLogger(__name__)

_REPLACEMENTS = 100
"""Pictures tried in place of an unreadable one."""
_NONE = Augmentation()


@dataclass(frozen=True)
class TrainingItem:
    """One picture with the token ids of some of its captions.

    Attributes:
        pixels: `uint8 [3, H, W]`.
        captions: token ids without start and end tokens.
        index: the picture's place in the data set.
    """

    pixels: Pixels
    captions: list[list[int]]
    index: int


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

        Raises:
            DataError: neither the picture nor any of a hundred others can be read.
        """
        self._show(self.epoch)
        picture, repetition = int(self._pictures[index]), int(self._repetitions[index])
        random = np.random.default_rng((self.seed, self.epoch, picture, repetition))
        picture, pixels = self._readable(picture, repetition)
        if self.augmentation != _NONE:
            changed = augment(Image.fromarray(pixels), self.augmentation, random)
            pixels = np.asarray(changed, dtype=np.uint8)
        captions = self._captions[picture]
        if len(captions) > self.captions_per_image:
            chosen = random.choice(len(captions), self.captions_per_image, replace=False)
            captions = [captions[i] for i in chosen]
        return TrainingItem(np.ascontiguousarray(pixels.transpose(2, 0, 1)), captions, picture)

    def _readable(self, picture: int, repetition: int) -> tuple[int, Pixels]:
        """Return the picture or one that can be read in its place, and its pixels `[H, W, 3]`."""
        random = np.random.default_rng((self.seed, self.epoch, picture, repetition, 1))
        for _ in range(_REPLACEMENTS):
            if not self._unreadable[picture]:
                try:
                    return picture, self.reader(self.images[picture])
                except DataError as error:
                    self._unreadable[picture] = True
                    logger.warning("%s; others take its place", error)
            picture = int(random.integers(len(self.images)))
        raise DataError(f"{_REPLACEMENTS} pictures in a row cannot be read")


def stack_pixels(items: Sequence[TrainingItem]) -> Tensor:
    """Return the items' pictures, `uint8 [B, 3, H, W]`."""
    return torch.from_numpy(np.stack([item.pixels for item in items]))


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
            `pixels` uint8 `[B, 3, H, W]`; `input_ids` int64 `[B, C, T]`, start token first;
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
        return {"pixels": stack_pixels(items), "input_ids": input_ids, "labels": labels}
