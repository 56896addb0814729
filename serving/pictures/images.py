"""From the bytes of an upload to the pixels a model reads. Blocking: runs in a thread pool.

`models.pictures` reads the file. Here are the limits of a server, and its answers: whatever is
wrong with a picture becomes a `Problem` of the 4xx kind.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

from models.api.preprocessing import Pixels, PreprocessSpec, draft, to_pixels
from models.pictures.header_guard import check_scans
from models.pictures.kinds import READABLE, PictureError, broken, refusals
from models.pictures.reader import Picture
from serving.base.problems import Problem
from serving.contract.schemas import ImageInfo

logger = logging.getLogger(__name__)

SMALL_BYTES = 8 * 1024 * 1024
"""What a picture may need for its pixels without being counted: the threads are few."""

_BYTES_PER_PIXEL = {"WEBP": 17, "AVIF": 14, "HEIF": 14}
"""Memory that decoding takes at its peak; measured, a test holds it. These decoders make a whole
picture of their own, where the others fill Pillow's."""

_USUAL_BYTES_PER_PIXEL = 5
_MOST_BYTES_PER_PIXEL = max(_USUAL_BYTES_PER_PIXEL, *_BYTES_PER_PIXEL.values())


def most_bytes(max_pixels: int) -> int:
    """Return what the most expensive picture of that many pixels needs while it is decoded."""
    return max_pixels * _MOST_BYTES_PER_PIXEL


def decode(data: bytes, spec: PreprocessSpec, max_pixels: int) -> tuple[Pixels, ImageInfo]:
    """Decode a picture for a model, whatever memory it needs; see `OpenPicture`."""
    return OpenPicture(data, spec, max_pixels).decode()


class OpenPicture:
    """A picture whose header has been read and found to be within the limits.

    Args:
        data: the file's content.
        spec: the model's input.
        max_pixels: most pixels, width x height, that are decoded.

    Attributes:
        bytes_needed: memory that decoding takes at its peak, within some 25 MB.

    Raises:
        Problem: 415 no picture of a format that is read; 422 empty, damaged, or too many pixels.
    """

    def __init__(self, data: bytes, spec: PreprocessSpec, max_pixels: int) -> None:
        self._data, self._spec, self._max_pixels = data, spec, max_pixels
        # Pillow gives up beyond twice this number, where it looks by itself.
        Image.MAX_IMAGE_PIXELS = max_pixels
        with self._problems():
            self._picture = Picture(data)
            self._size = self._picture.image.size
            self._check_size()
            self.bytes_needed = self._cost()

    def decode(self) -> tuple[Pixels, ImageInfo]:
        """Return `uint8 [3, spec.height, spec.width]` and what the picture is. Only once.

        Raises:
            Problem: 422, the picture is damaged.
        """
        with self._problems(), self._picture.load() as image:
            width, height = self._picture.size
            info = ImageInfo(width=width, height=height, format=self._picture.format)
            return to_pixels(image, self._spec), info

    def _check_size(self) -> None:
        width, height = self._size
        if width < 1 or height < 1:
            raise Problem("broken-image", "The picture has no pixels.")
        if width * height > self._max_pixels:
            raise _too_many(self._max_pixels, width, height)

    def _cost(self) -> int:
        """Have a large JPEG decoded at a reduced scale; return the memory that decoding takes."""
        image, kind = self._picture.image, self._picture.format
        draft(image, self._spec)
        cost = image.width * image.height * _BYTES_PER_PIXEL.get(kind, _USUAL_BYTES_PER_PIXEL)
        if kind == "JPEG":
            width, height = self._size
            if check_scans(self._data, width, height, self._max_pixels) > 1:
                # All coefficients are kept, two bytes each, whatever the scale.
                cost += width * height * 2 * len(image.getbands())
        return cost

    @contextmanager
    def _problems(self) -> Iterator[None]:
        """Turn what is wrong with a picture into `Problem`s."""
        try:
            with refusals(self._data, Problem):
                yield
        except PictureError as error:
            raise self._problem(error) from None
        except MemoryError as error:
            logger.debug("a picture could not be decoded", exc_info=True)
            raise self._problem(broken(error)) from None

    def _problem(self, error: PictureError) -> Problem:
        if error.refusal == "too-many-pixels":
            return _too_many(self._max_pixels)
        if error.refusal == "unsupported":
            return Problem("unsupported-image", f"{error.reason}; send one of {READABLE}.")
        return Problem("broken-image", error.reason)


def _too_many(max_pixels: int, width: int | None = None, height: int | None = None) -> Problem:
    has = "more" if width is None else f"{width} x {height}"
    return Problem(
        "too-many-pixels", f"At most {max_pixels:,} pixels are read; the picture has {has}."
    )
