"""Caption a data split with a captioner: the inference half of every evaluation."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

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
    readers: int = 1,
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
        readers: pictures read at once, the next batch's while the model captions.

    Raises:
        DataError: more pictures than that, or all of them, cannot be read.
    """
    reader = reader or PictureReader(captioner.preprocess)
    captions: dict[int, Caption] = {}
    starts = range(0, len(images), batch_size)
    batches = _batches(images, starts, batch_size, reader, readers)
    # disable=None: no bar where the output is no terminal.
    bar = {"desc": "captioning", "unit": "batch", "disable": None if progress else True}
    for batch in tqdm(batches, total=len(starts), **bar):
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


def _batches(
    images: Sequence[CaptionedImage],
    starts: Iterable[int],
    batch_size: int,
    reader: PictureReader,
    readers: int,
) -> Iterator[list[tuple[CaptionedImage, Pixels]]]:
    """Yield the readable pictures with their pixels, `uint8 [H, W, 3]`; name the others.

    In threads: decoding leaves Python alone, and a batch is read while the one before is captioned.
    """

    def read(image: CaptionedImage) -> Pixels | DataError:
        try:
            return reader(image)
        except DataError as error:
            return error

    with ThreadPoolExecutor(readers) as pool:
        ahead: deque[tuple[Sequence[CaptionedImage], Iterator[Pixels | DataError]]] = deque()
        for start in starts:
            part = images[start : start + batch_size]
            ahead.append((part, pool.map(read, part)))
            if len(ahead) > 1:
                yield _readable(*ahead.popleft())
        while ahead:
            yield _readable(*ahead.popleft())


def _readable(
    images: Sequence[CaptionedImage], read: Iterator[Pixels | DataError]
) -> list[tuple[CaptionedImage, Pixels]]:
    found = []
    for image, pixels in zip(images, read, strict=True):
        if isinstance(pixels, DataError):
            logger.warning("%s; left out", pixels)
        else:
            found.append((image, pixels))
    return found
