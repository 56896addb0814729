"""From the bytes of an upload to the pixels a model reads. Blocking: runs in a thread pool.

What a file is gets decided by its bytes, never by its name or by what the client calls it. Whatever
Pillow raises on hostile input becomes a `Problem` of the 4xx kind.
"""

from __future__ import annotations

import io
import logging
import struct
import threading
import warnings
import zlib
from typing import Annotated

from PIL import Image, UnidentifiedImageError, features
from pydantic import BaseModel, Field

from models.preprocessing import Pixels, PreprocessSpec, to_pixels
from serving.problems import Problem

logger = logging.getLogger(__name__)

# AVIF and WebP are optional in Pillow builds. Nothing that runs a program (EPS) is here. MPO, what
# some phones and stereo cameras write, opens as JPEG.
FORMATS = tuple(
    name
    for name in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
    if name not in ("WEBP", "AVIF") or features.check(name.lower())
)
"""Formats that are read, by Pillow's names."""

_READABLE = "JPEG, PNG, WebP, GIF, BMP, TIFF" + (" and AVIF" if "AVIF" in FORMATS else "")

_ORIENTATION_TAG = 0x0112
_TRANSPOSING = (5, 6, 7, 8)

# One picture this large may be decoded at a time: each can take gigabytes while it is converted.
_LARGE_PIXELS = 12_000_000
_large = threading.Lock()

_EXPECTED = (
    OSError,
    RuntimeError,
    SyntaxError,
    ValueError,
    EOFError,
    OverflowError,
    MemoryError,
    struct.error,
    zlib.error,
)
"""What Pillow's decoders raise on damaged input."""

# Pillow warns of damaged metadata, and of sizes that `decode` refuses anyway: noise in a log.
warnings.filterwarnings("ignore", module=r"PIL\.")


class ImageInfo(BaseModel):
    """What the uploaded picture is.

    Attributes:
        width: in pixels, as seen upright.
        height: in pixels, as seen upright.
        format: Pillow's name of the format that the bytes are in.
    """

    width: Annotated[int, Field(ge=1, description="Width as seen upright.", examples=[1024])]
    height: Annotated[int, Field(ge=1, description="Height as seen upright.", examples=[768])]
    format: Annotated[str, Field(description="Format that the bytes are in.", examples=["JPEG"])]


def decode(data: bytes, spec: PreprocessSpec, max_pixels: int) -> tuple[Pixels, ImageInfo]:
    """Decode a picture for a model.

    Args:
        data: the file's content.
        spec: the model's input.
        max_pixels: most pixels, width x height, that are decoded.

    Returns:
        `uint8 [3, spec.height, spec.width]` and what the picture is.

    Raises:
        Problem: 415 no picture of a format that is read; 422 empty, damaged, or too many pixels.
    """
    if not data:
        raise Problem("broken-image", "The file is empty.")
    Image.MAX_IMAGE_PIXELS = max_pixels
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            info = _inspect(image, max_pixels)
            _draft(image, spec)
            if image.width * image.height > _LARGE_PIXELS:
                with _large:
                    return to_pixels(image, spec), info
            return to_pixels(image, spec), info
    except Problem:
        raise
    except UnidentifiedImageError:
        raise _unidentified(data) from None
    except Image.DecompressionBombError:
        raise _too_many(max_pixels) from None
    except _EXPECTED as error:
        logger.debug("a picture could not be decoded", exc_info=True)
        raise _broken(error) from None
    except Exception as error:
        # Decoders have raised KeyError, TypeError, IndexError … on damaged input. Those may also be
        # mistakes of ours, so they are not to go unseen.
        logger.warning("an unusual error while decoding a picture", exc_info=True)
        raise _broken(error) from None


def _inspect(image: Image.Image, max_pixels: int) -> ImageInfo:
    """Check the size that the header tells, and return what the picture is."""
    width, height = image.size
    if width < 1 or height < 1:
        raise Problem("broken-image", "The picture has no pixels.")
    if width * height > max_pixels:
        raise _too_many(max_pixels, width, height)
    if _orientation(image) in _TRANSPOSING:
        width, height = height, width
    return ImageInfo(width=width, height=height, format=image.format or "unknown")


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 where there is none or it cannot be read."""
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:
        # A good picture with a damaged EXIF block is still a good picture.
        image.info.pop("exif", None)
        image.info.pop("Raw profile type exif", None)
        image.info.pop("XML:com.adobe.xmp", None)
        image.getexif().clear()
        return 1


def _draft(image: Image.Image, spec: PreprocessSpec) -> None:
    """Have a large JPEG decoded at a half, quarter or eighth of its size, where that loses nothing.

    At least twice the model's size is left on both sides, so the resize still has enough to filter.
    """
    side = 2 * max(spec.width, spec.height)
    if image.format in ("JPEG", "MPO") and min(image.size) >= 2 * side:
        image.draft(None, (side, side))


def _too_many(max_pixels: int, width: int | None = None, height: int | None = None) -> Problem:
    has = "more" if width is None else f"{width} x {height}"
    return Problem(
        "too-many-pixels", f"At most {max_pixels:,} pixels are read; the picture has {has}."
    )


def _broken(error: Exception) -> Problem:
    text = str(error).lower()
    if "truncated" in text or isinstance(error, EOFError):
        return Problem("broken-image", "The picture is truncated: its data ends early.")
    return Problem("broken-image", "The picture is damaged: its data cannot be decoded.")


_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG", "PNG"),
    (0, b"GIF8", "GIF"),
    (0, b"BM", "BMP"),
    (0, b"II*\x00", "TIFF"),
    (0, b"MM\x00*", "TIFF"),
    (0, b"II+\x00", "TIFF"),
    (8, b"WEBP", "WEBP"),
    (4, b"ftypavif", "AVIF"),
)
_FOREIGN: tuple[tuple[int, bytes, str], ...] = (
    (4, b"ftyphei", "a HEIC picture"),
    (4, b"ftypmif1", "a HEIF picture"),
    (4, b"ftyp", "a video"),
    (0, b"%PDF", "a PDF document"),
    (0, b"%!PS", "a PostScript file"),
    (0, b"8BPS", "a Photoshop file"),
    (0, b"\x00\x00\x01\x00", "an icon"),
    (0, b"\xff\x0a", "a JPEG XL picture"),
    (0, b"\x00\x00\x00\x0cJXL ", "a JPEG XL picture"),
    (0, b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 picture"),
    (0, b"PK\x03\x04", "a ZIP archive or office document"),
)


def _matches(data: bytes, signatures: tuple[tuple[int, bytes, str], ...]) -> str | None:
    for offset, mark, name in signatures:
        if data[offset : offset + len(mark)] == mark:
            return name
    return None


def _unidentified(data: bytes) -> Problem:
    """Tell a damaged picture (422) from a file that is none (415)."""
    known = _matches(data, _SIGNATURES)
    if known in FORMATS:
        return Problem("broken-image", f"The file begins as {known} but its header is damaged.")
    what = _matches(data, _FOREIGN)
    if what is None and b"<svg" in data[:1024].lower():
        what = "an SVG drawing"
    is_it = f"The file is {what}" if what else "The file is not a picture that is known here"
    return Problem("unsupported-image", f"{is_it}; send {_READABLE}.")
