"""Caption a data split with a captioner: the inference half of every evaluation."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np
from tqdm.auto import tqdm

from models.api.captioner import Captioner
from models.api.options import CaptionOptions
from models.api.preprocessing import Pixels
from models.api.results import Caption
from training.data.coco import CaptionedImage, DataError
from training.data.pictures import MAX_UNREADABLE, PictureReader, check_share

logger = logging.getLogger(__name__)


def texts(captions: Mapping[int, Caption]) -> dict[int, str]:
    """Return captions' texts, by image id: what `training.metrics.scoring.score` judges."""
    return {image_id: caption.text for image_id, caption in captions.items()}


def caption_images(
    captioner: Captioner,
    images: Sequence[CaptionedImage],
    options: CaptionOptions,
    batch_size: int = 32,
    progress: bool = True,
    reader: PictureReader | None = None,
    max_unreadable: float = MAX_UNREADABLE,
) -> dict[int, Caption]:
    """Return the best caption of every picture that can be read, by image id.

    Args:
        captioner: a loaded model.
        images: pictures to caption.
        options: decoding settings; what is left out is the model's default.
        batch_size: pictures a batch.
        progress: show a progress bar on a terminal.
        reader: reads the pictures at the model's input size; None decodes every one.
        max_unreadable: share of pictures that may be unreadable, 0..1; they are named.

    Raises:
        DataError: more pictures than that, or all of them, cannot be read.
    """
    reader = reader or PictureReader(captioner.preprocess)
    captions: dict[int, Caption] = {}
    starts = range(0, len(images), batch_size)
    # disable=None: no bar where the output is no terminal.
    for start in tqdm(starts, desc="captioning", unit="batch", disable=None if progress else True):
        batch = _read(images[start : start + batch_size], reader)
        if not batch:
            continue
        stacked = np.stack([pixels for _, pixels in batch])  # [B, H, W, 3]
        pixels = np.ascontiguousarray(stacked.transpose(0, 3, 1, 2))
        for (image, _), found in zip(batch, captioner.caption(pixels, options), strict=True):
            captions[image.image_id] = found[0]
    check_share("captioning", len(images) - len(captions), len(images), max_unreadable)
    if images and not captions:
        raise DataError(f"none of the {len(images)} pictures can be read")
    return captions


def _read(
    images: Sequence[CaptionedImage], reader: PictureReader
) -> list[tuple[CaptionedImage, Pixels]]:
    """Return the readable pictures with their pixels, `uint8 [H, W, 3]`; name the others."""
    found = []
    for image in images:
        try:
            found.append((image, reader(image)))
        except DataError as error:
            logger.warning("%s; left out", error)
    return found
