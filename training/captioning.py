"""Caption a data split with a captioner: the inference half of every evaluation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from tqdm.auto import tqdm

from models.interface import Captioner, CaptionOptions
from models.preprocessing import to_pixels
from training.coco import CaptionedImage
from training.dataset import read_picture


def caption_images(
    captioner: Captioner,
    images: Sequence[CaptionedImage],
    options: CaptionOptions,
    batch_size: int = 32,
    progress: bool = True,
) -> dict[int, str]:
    """Return the best caption of every picture, by image id.

    Args:
        captioner: a loaded model.
        images: pictures to caption.
        options: decoding settings; what is left out is the model's default.
        batch_size: pictures a batch.
        progress: show a progress bar on a terminal.

    Raises:
        DataError: a picture cannot be read.
    """
    captions: dict[int, str] = {}
    starts = range(0, len(images), batch_size)
    # disable=None: no bar where the output is no terminal.
    for start in tqdm(starts, desc="captioning", unit="batch", disable=None if progress else True):
        batch = images[start : start + batch_size]
        pixels = np.stack([to_pixels(read_picture(image), captioner.preprocess) for image in batch])
        for image, found in zip(batch, captioner.caption(pixels, options), strict=True):
            captions[image.image_id] = found[0].text
    return captions
