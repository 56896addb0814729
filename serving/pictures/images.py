"""From the bytes of an upload to the pixels a model reads. Blocking: runs in a thread pool.

What a file is gets decided by its bytes, never by its name or by what the client calls it. Whatever
Pillow raises on hostile input becomes a `Problem` of the 4xx kind.
"""

from __future__ import annotations

import io
import logging
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, UnidentifiedImageError, features

from models.api.preprocessing import Pixels, PreprocessSpec, draft, to_pixels
from serving.base.problems import Problem
from serving.contract.schemas import ImageInfo
from serving.pictures.header_guard import check_header, check_scans

logger = logging.getLogger(__name__)

try:
    import pillow_heif
except ImportError:
    HEIF = False
else:
    pillow_heif.register_heif_opener(thumbnails=False)
    HEIF = True
"""Whether HEIC pictures are read: with the package `pillow-heif`, which is optional."""

# AVIF and WebP are optional in Pillow builds. Nothing that runs a program (EPS) is here. MPO, what
# some phones and stereo cameras write, opens as JPEG.
FORMATS = tuple(
    name
    for name, there in (
        ("JPEG", True),
        ("PNG", True),
        ("WEBP", features.check("webp")),
        ("GIF", True),
        ("BMP", True),
        ("TIFF", True),
        ("AVIF", features.check("avif")),
        ("HEIF", HEIF),
    )
    if there
)
"""Formats that are read, by Pillow's names. No other plugin of Pillow's is ever asked."""

READABLE = ", ".join({"WEBP": "WebP", "HEIF": "HEIC"}.get(name, name) for name in FORMATS)
"""The formats for people."""

SMALL_BYTES = 8 * 1024 * 1024
"""What a picture may need for its pixels without being counted: the threads are few."""

_BYTES_PER_PIXEL = {"WEBP": 17, "AVIF": 14, "HEIF": 14}
"""Memory that decoding takes at its peak; measured, a test holds it. These decoders make a whole
picture of their own, where the others fill Pillow's."""

_USUAL_BYTES_PER_PIXEL = 5
_MOST_BYTES_PER_PIXEL = max(_USUAL_BYTES_PER_PIXEL, *_BYTES_PER_PIXEL.values())

_ORIENTATION_TAG = 0x0112
_TRANSPOSING = (5, 6, 7, 8)

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
        if not data:
            raise Problem("broken-image", "The file is empty.")
        # Pillow gives up beyond twice this number, where it looks by itself.
        Image.MAX_IMAGE_PIXELS = max_pixels
        with self._problems():
            check_header(data)
            self._image = Image.open(io.BytesIO(data), formats=FORMATS)
            self._size = self._image.size
            self._check_size()
            self.bytes_needed = self._cost()

    def decode(self) -> tuple[Pixels, ImageInfo]:
        """Return `uint8 [3, spec.height, spec.width]` and what the picture is. Only once.

        Raises:
            Problem: 422, the picture is damaged.
        """
        with self._problems(), self._image as image:
            width, height = self._size
            if _orientation(image) in _TRANSPOSING:
                width, height = height, width
            info = ImageInfo(width=width, height=height, format=image.format or "unknown")
            return to_pixels(image, self._spec), info

    def _check_size(self) -> None:
        width, height = self._size
        if width < 1 or height < 1:
            raise Problem("broken-image", "The picture has no pixels.")
        if width * height > self._max_pixels:
            raise _too_many(self._max_pixels, width, height)

    def _cost(self) -> int:
        """Have a large JPEG decoded at a reduced scale; return the memory that decoding takes."""
        image = self._image
        draft(image, self._spec)
        per_pixel = _BYTES_PER_PIXEL.get(image.format or "", _USUAL_BYTES_PER_PIXEL)
        cost = image.width * image.height * per_pixel
        if image.format in ("JPEG", "MPO"):
            width, height = self._size
            if check_scans(self._data, width, height, self._max_pixels) > 1:
                # All coefficients are kept, two bytes each, whatever the scale.
                cost += width * height * 2 * len(image.getbands())
        return cost

    @contextmanager
    def _problems(self) -> Iterator[None]:
        """Turn what decoders raise into `Problem`s."""
        try:
            yield
        except Problem:
            raise
        except UnidentifiedImageError:
            raise _unidentified(self._data) from None
        except Image.DecompressionBombError:
            raise _too_many(self._max_pixels) from None
        except _EXPECTED as error:
            logger.debug("a picture could not be decoded", exc_info=True)
            raise _broken(error) from None
        except Exception as error:
            # Decoders have raised KeyError, TypeError, IndexError … on damaged input. Those may
            # also be mistakes of ours, so they are not to go unseen.
            logger.warning("an unusual error while decoding a picture", exc_info=True)
            raise _broken(error) from None


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
    (4, b"ftyphei", "HEIF"),
    (4, b"ftyphev", "HEIF"),
    (4, b"ftypmif1", "HEIF"),
    (4, b"ftypmsf1", "HEIF"),
)
_FOREIGN: tuple[tuple[int, bytes, str], ...] = (
    (4, b"ftyphei", "a HEIC picture"),
    (4, b"ftyphev", "a HEIC picture"),
    (4, b"ftypmif1", "a HEIF picture"),
    (4, b"ftypmsf1", "a HEIF picture"),
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
    if what and "HEI" in what and not HEIF:
        is_it += ", which this server reads only with the package pillow-heif installed"
    return Problem("unsupported-image", f"{is_it}; send one of {READABLE}.")
