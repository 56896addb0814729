"""A picture within a server's limits: its header is read first, its pixels when there is room.

Runs in decoding workers, so it imports Pillow, NumPy and what needs no more than these.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.pictures.header_guard import check_scans
from models.pictures.kinds import PictureError, refusals
from models.pictures.reader import Picture
from models.pictures.sizing import InputSize, draft, pixels_between, to_pixels

SMALL_BYTES = 8 * 1024 * 1024
"""What a picture may need for its pixels without being counted: the workers are few."""

_BYTES_PER_PIXEL = {"WEBP": 17, "AVIF": 14, "HEIF": 14}
"""Memory that decoding takes at its peak; measured, a test holds it. These decoders make a whole
picture of their own, where the others fill Pillow's."""

_USUAL_BYTES_PER_PIXEL = 5
_BYTES_PER_RGB_PIXEL = 4
_MOST_BYTES_PER_PIXEL = max(_USUAL_BYTES_PER_PIXEL, *_BYTES_PER_PIXEL.values())


def most_bytes(max_pixels: int) -> int:
    """Return what the most expensive picture of that many pixels needs while it is decoded."""
    return max_pixels * _MOST_BYTES_PER_PIXEL


def canvas_bytes(data: bytes, max_pixels: int) -> int:
    """Return the address space that opening a file takes at most, beside little.

    A WebP makes two canvases then, which nobody touches until it is decoded.
    """
    return 2 * 4 * max_pixels if data.startswith(b"RIFF") else 0


class OpenPicture:
    """A picture whose header has been read and found to be within the limits.

    Args:
        data: the file's content.
        spec: the model's input.
        max_pixels: most pixels, width x height, that are decoded.

    Attributes:
        pixels: how many the picture has.
        bytes_needed: memory that decoding takes at its peak, within some 25 MB.
        format: Pillow's name of the file's format.
        size: width and height in pixels, as seen upright.

    Raises:
        PictureError: it is none of a format that is read, empty, damaged, or has too many pixels.
        MemoryError: there is too little.
    """

    def __init__(self, data: bytes, spec: InputSize, max_pixels: int) -> None:
        self._data, self._spec, self._max_pixels = data, spec, max_pixels
        # Pillow gives up beyond twice this number, where it looks by itself.
        Image.MAX_IMAGE_PIXELS = max_pixels
        with self._refusals():
            self._picture = Picture(data)
        self.format, self.size = self._picture.format, self._picture.size
        width, height = self._picture.image.size
        self.pixels = width * height
        if width < 1 or height < 1:
            raise PictureError("broken", "The picture has no pixels.")
        if self.pixels > max_pixels:
            raise _too_many(max_pixels, f"{width} x {height}")
        with self._refusals():
            self.bytes_needed = self._cost(width, height)

    def decode(self) -> NDArray[np.uint8]:
        """Return `uint8 [3, spec.height, spec.width]`. Only once.

        Raises:
            PictureError: the picture is damaged.
            MemoryError: there is too little.
        """
        with self._refusals(), self._picture.load() as image:
            return to_pixels(image, self._spec)

    def _cost(self, width: int, height: int) -> int:
        """Have a large JPEG decoded at a reduced scale; return the memory that decoding takes."""
        image, kind = self._picture.image, self.format
        draft(image, self._spec)
        cost = image.width * image.height * _BYTES_PER_PIXEL.get(kind, _USUAL_BYTES_PER_PIXEL)
        cost += _BYTES_PER_RGB_PIXEL * pixels_between(image.size, self._spec)
        if kind == "JPEG" and check_scans(self._data, width, height, self._max_pixels) > 1:
            # All coefficients are kept, two bytes each, whatever the scale.
            cost += width * height * 2 * len(image.getbands())
        return cost

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            with refusals(self._data):
                yield
        except PictureError as error:
            if error.refusal != "too-many-pixels":
                raise
            raise _too_many(self._max_pixels, "more") from None


def _too_many(max_pixels: int, has: str) -> PictureError:
    text = f"At most {max_pixels:,} pixels are read; the picture has {has}."
    return PictureError("too-many-pixels", text)
