"""Which kinds of pictures are read, and what is said of a file that is none of them.

What a file is gets decided by its bytes, never by its name or by what anybody calls it.
"""

from __future__ import annotations

import logging
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Literal

from PIL import Image, UnidentifiedImageError, features

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
# some phones and stereo cameras write, is a JPEG with more of them behind it.
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

Refusal = Literal["unsupported", "broken", "too-many-pixels"]

_EXPECTED = (
    OSError,
    RuntimeError,
    SyntaxError,
    ValueError,
    EOFError,
    OverflowError,
    struct.error,
    zlib.error,
)
"""What Pillow's decoders raise on damaged input."""

# Pillow warns of damaged metadata, and of sizes that are refused anyway: noise in a log.
warnings.filterwarnings("ignore", module=r"PIL\.")


class PictureError(Exception):
    """A file that cannot be read as a picture, or not rightly.

    Attributes:
        refusal: `"unsupported"` it is of a kind that is not read here; `"broken"` it is damaged or
            incomplete; `"too-many-pixels"` it is larger than Pillow's limit.
        reason: what is the matter, for people; a sentence, without its end where it is
            `"unsupported"`: who asks may say what is read instead.
    """

    def __init__(self, refusal: Refusal, reason: str) -> None:
        super().__init__(refusal, reason)
        self.refusal, self.reason = refusal, reason

    def __str__(self) -> str:
        return self.reason


@contextmanager
def refusals(data: bytes) -> Iterator[None]:
    """Turn whatever Pillow raises on a file into `PictureError`, but for `MemoryError`."""
    try:
        yield
    except (PictureError, MemoryError):
        raise
    except UnidentifiedImageError:
        raise unidentified(data) from None
    except Image.DecompressionBombError as error:
        raise PictureError("too-many-pixels", str(error)) from None
    except _EXPECTED as error:
        logger.debug("a picture could not be decoded", exc_info=True)
        raise broken(error) from None
    except Exception as error:
        # Decoders have raised KeyError, TypeError, IndexError … on damaged input. Those may also
        # be mistakes of ours, so they are not to go unseen.
        logger.warning("an unusual error while decoding a picture", exc_info=True)
        raise broken(error) from None


def truncated() -> PictureError:
    """Return the refusal of a file that lacks pixels."""
    return PictureError("broken", "The picture is truncated: its data ends early.")


def broken(error: Exception) -> PictureError:
    """Return the refusal of a file that made a decoder raise `error`."""
    if "truncated" in str(error).lower() or isinstance(error, EOFError):
        return truncated()
    if "unknown raw mode" in str(error):
        return PictureError("unsupported", "The file's pixels lie in a way that is not read here")
    return PictureError("broken", "The picture is damaged: its data cannot be decoded.")


_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG", "PNG"),
    (0, b"GIF8", "GIF"),
    (0, b"BM", "BMP"),
    (0, b"II*\x00", "TIFF"),
    (0, b"MM\x00*", "TIFF"),
    (0, b"II+\x00", "TIFF"),
    (0, b"MM\x00+", "TIFF"),
    (8, b"WEBP", "WEBP"),
    (4, b"ftypavif", "AVIF"),
    (4, b"ftypavis", "AVIF"),
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


@cache
def endings() -> frozenset[str]:
    """Return how names of files of these formats end, each with a dot, in small letters."""
    known = Image.registered_extensions()
    return frozenset(ending for ending, name in known.items() if name in FORMATS)


def kind_of(data: bytes) -> str | None:
    """Return which of the formats a file begins as, whether it is read here or not."""
    return _matches(data, _SIGNATURES)


def unidentified(data: bytes) -> PictureError:
    """Tell a damaged picture from a file that is none."""
    known = kind_of(data)
    if known in FORMATS:
        return PictureError("broken", f"The file begins as {known} but its header is damaged.")
    what = _matches(data, _FOREIGN)
    if what is None and b"<svg" in data[:1024].lower():
        what = "an SVG drawing"
    is_it = f"The file is {what}" if what else "The file is not a picture that is known here"
    if what and "HEI" in what and not HEIF:
        is_it += ", which this server reads only with the package pillow-heif installed"
    return PictureError("unsupported", is_it)


def _matches(data: bytes, signatures: tuple[tuple[int, bytes, str], ...]) -> str | None:
    for offset, mark, name in signatures:
        if data[offset : offset + len(mark)] == mark:
            return name
    return None
