"""Captioned pictures as training batches: one picture with several of its captions an item."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from models.cnn_transformer import IGNORED
from models.cnn_transformer_config import BOS_ID, EOS_ID, PAD_ID
from models.preprocessing import Pixels, PreprocessSpec, resize, to_rgb
from models.tokenizer import CaptionTokenizer
from training.augmentation import augment
from training.coco import CaptionedImage, DataError
from training.recipe import Augmentation


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


def read_picture(image: CaptionedImage) -> Image.Image:
    """Return a picture as upright RGB.

    Raises:
        DataError: the file is missing or cannot be decoded; the message names it.
    """
    try:
        with Image.open(image.path) as opened:
            return to_rgb(opened)
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{image.path}: cannot be read as a picture: {error}") from error


class CaptionDataset(Dataset[TrainingItem]):
    """Training pictures with random captions and random augmentation.

    Everything random is drawn from (seed, epoch, index), so a resumed run sees what an
    uninterrupted one would have seen.

    Args:
        images: pictures and references.
        tokenizer: the run's vocabulary.
        preprocess: size of the network's input.
        augmentation: random changes.
        captions_per_image: captions per item, drawn without replacement.
        max_tokens: longer captions are cut to this many words.
        seed: of all randomness.
    """

    def __init__(
        self,
        images: Sequence[CaptionedImage],
        tokenizer: CaptionTokenizer,
        preprocess: PreprocessSpec,
        augmentation: Augmentation,
        captions_per_image: int,
        max_tokens: int,
        seed: int,
    ) -> None:
        self.images = images
        self.preprocess = preprocess
        self.augmentation = augmentation
        self.captions_per_image = captions_per_image
        self.seed = seed
        self.epoch = 0
        self._captions = [
            [tokenizer.encode(text)[:max_tokens] for text in image.references] for image in images
        ]

    def set_epoch(self, epoch: int) -> None:
        """Choose the pass (0-based) whose random choices the items show."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.images)

    def __getitem__(self, index: int) -> TrainingItem:
        """Return one picture, changed and captioned as (seed, epoch, index) says."""
        random = np.random.default_rng((self.seed, self.epoch, index))
        picture = resize(read_picture(self.images[index]), self.preprocess)
        picture = augment(picture, self.augmentation, random)
        pixels = np.ascontiguousarray(np.asarray(picture, dtype=np.uint8).transpose(2, 0, 1))
        captions = self._captions[index]
        if len(captions) > self.captions_per_image:
            chosen = random.choice(len(captions), self.captions_per_image, replace=False)
            captions = [captions[i] for i in chosen]
        return TrainingItem(pixels, captions, index)


def stack_pixels(items: Sequence[TrainingItem]) -> Tensor:
    """Return the items' pictures, `uint8 [B, 3, H, W]`."""
    return torch.from_numpy(np.stack([item.pixels for item in items]))


def collate(items: Sequence[TrainingItem]) -> dict[str, Tensor]:
    """Make a batch for `CnnTransformer.forward`.

    Returns:
        `pixels` uint8 `[B, 3, H, W]`; `input_ids` int64 `[B, C, T]`, start token first; `labels`
        int64 `[B, C, T]`, end token last, `IGNORED` where there is nothing to learn.
    """
    captions = max(len(item.captions) for item in items)
    length = 1 + max(len(caption) for item in items for caption in item.captions)
    input_ids = torch.full((len(items), captions, length), PAD_ID, dtype=torch.int64)
    labels = torch.full((len(items), captions, length), IGNORED, dtype=torch.int64)
    for row, item in enumerate(items):
        for column, caption in enumerate(item.captions):
            size = len(caption) + 1
            input_ids[row, column, :size] = torch.tensor([BOS_ID, *caption])
            labels[row, column, :size] = torch.tensor([*caption, EOS_ID])
    return {"pixels": stack_pixels(items), "input_ids": input_ids, "labels": labels}
