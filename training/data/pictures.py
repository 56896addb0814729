"""Pictures of a data set as pixels, and what becomes of those that cannot be read."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from models.api.preprocessing import Pixels, PreprocessSpec
from models.pictures.kinds import PictureError
from models.pictures.reader import Picture
from models.pictures.sizing import read_rgb
from training.data.coco import CaptionData, CaptionedImage, DataError, Unreadable
from training.data.image_cache import ImageCache
from training.data.machine import is_main

logger = logging.getLogger(__name__)

MAX_UNREADABLE = 0.01
"""Share of a data set's pictures that may be unreadable, where nobody said otherwise."""

_THREADS = 8
_HEADER_BYTES = 32 * 1024
_NAMED = 20
"""Unreadable pictures named where there are too many to go on."""


def read_picture(image: CaptionedImage, spec: PreprocessSpec | None = None) -> Image.Image:
    """Return a picture as upright RGB, at the size of a spec where one is given.

    Raises:
        DataError: the file is missing or cannot be decoded; the message names it.
    """
    try:
        return read_rgb(image.path.read_bytes(), spec)
    except (OSError, PictureError) as error:
        raise DataError(f"{image.path}: cannot be read as a picture: {_reason(error)}") from error


class PictureReader:
    """Reads pictures at a network's input size, from a cache where there is one.

    Args:
        preprocess: the size and how pictures are brought to it.
        caches: of the data sets that will be read.
    """

    def __init__(self, preprocess: PreprocessSpec, caches: Sequence[ImageCache] = ()) -> None:
        self.preprocess = preprocess
        self._caches = {path: cache for cache in caches for path in cache.paths}

    def __call__(self, image: CaptionedImage) -> Pixels:
        """Return the picture, `uint8 [H, W, 3]`.

        Raises:
            DataError: the file is missing or cannot be decoded; the message names it.
        """
        cache = self._caches.get(image.path)
        pixels = cache.get(image.path) if cache is not None else None
        if pixels is None:
            pixels = np.array(read_picture(image, self.preprocess), dtype=np.uint8)
            if cache is not None:
                cache.put(image.path, pixels)
        return pixels


def without_unreadable(data: CaptionData, max_share: float = MAX_UNREADABLE) -> CaptionData:
    """Leave out pictures that are missing or no pictures; name and count them.

    Looks at headers only (50 to 100 microseconds a picture, some 10 s for COCO's 118,000 on a warm
    disk; decoding would take ten minutes): a file that is cut off shows when it is decoded.

    Args:
        data: a split.
        max_share: of pictures that may be unreadable, 0..1.

    Raises:
        DataError: there are more.
    """
    with ThreadPoolExecutor(_THREADS) as pool:
        reasons = list(
            tqdm(
                pool.map(_header_fault, data.images, chunksize=64),
                desc=f"checking {data.name}",
                total=len(data),
                unit="picture",
                disable=None if is_main() else True,
            )
        )
    found = tuple(
        Unreadable(image, reason)
        for image, reason in zip(data.images, reasons, strict=True)
        if reason
    )
    if not found:
        return data
    allowed = len(found) <= max_share * len(data)
    for fault in found if allowed else found[:_NAMED]:
        logger.warning("%s: left out: %s", fault.image.path, fault.reason)
    check_share(data.name, len(found), len(data), max_share)
    logger.warning("%s: left out %d of %d pictures", data.name, len(found), len(data))
    bad = {fault.image.path for fault in found}
    images = tuple(image for image in data.images if image.path not in bad)
    return replace(data, images=images, unreadable=found)


def check_share(name: str, unreadable: int, of: int, max_share: float) -> None:
    """Raise `DataError` if more than `max_share` of a data set's pictures are unreadable."""
    if unreadable > max_share * of:
        raise DataError(
            f"{name}: {unreadable} of {of} pictures cannot be read ({unreadable / of:.1%}); "
            f"at most {max_share:.1%} may be (max_unreadable)"
        )


def _header_fault(image: CaptionedImage) -> str:
    """Return why a picture cannot be one, as far as its header tells; empty if it can.

    Most headers are within the first bytes of a file; the rest is read where they do not tell.
    """
    try:
        with image.path.open("rb") as file:
            start = file.read(_HEADER_BYTES)
            with suppress(PictureError):
                Picture(start)
                return ""
            Picture(start + file.read())
            return ""
    except (OSError, PictureError) as error:
        return _reason(error)


def _reason(error: OSError | PictureError) -> str:
    """Return what went wrong without the file's name, which the caller gives."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error)
