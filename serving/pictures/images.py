"""What is wrong with a picture as a problem of the 4xx kind; and decoding in this very process."""

from __future__ import annotations

import logging

from models.api.preprocessing import Pixels, PreprocessSpec
from models.pictures.kinds import READABLE, PictureError, broken
from serving.base.problems import Problem
from serving.contract.schemas import ImageInfo
from serving.pictures.open_picture import OpenPicture

logger = logging.getLogger(__name__)

_KINDS = {
    "unsupported": "unsupported-image",
    "broken": "broken-image",
    "too-many-pixels": "too-many-pixels",
}


def decode(data: bytes, spec: PreprocessSpec, max_pixels: int) -> tuple[Pixels, ImageInfo]:
    """Decode a picture for a model here, whatever memory it needs; see `OpenPicture`.

    Raises:
        Problem: 415 no picture of a format that is read; 422 empty, damaged, or too many pixels.
    """
    try:
        picture = OpenPicture(data, spec, max_pixels)
        width, height = picture.size
        info = ImageInfo(width=width, height=height, format=picture.format)
        return picture.decode(), info
    except PictureError as error:
        raise as_problem(error) from None
    except MemoryError as error:
        logger.debug("a picture could not be decoded", exc_info=True)
        raise as_problem(broken(error)) from None


def as_problem(error: PictureError) -> Problem:
    """Return what a client is told of a picture that is refused."""
    text = error.reason
    if error.refusal == "unsupported":
        text = f"{text}; send one of {READABLE}."
    return Problem(_KINDS[error.refusal], text)
