"""What may be given as an image, and how it becomes something to send.

A path, the file's bytes, a binary file object, a Pillow image, an http(s) URL or a data: URL.
"""

from __future__ import annotations

import binascii
import io
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias, cast
from urllib.parse import unquote_to_bytes

from captionbox.errors import ImageInputError

SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .png .webp .gif .bmp .tif .tiff .mpo .avif .heic .heif".split()
)
"""Files that are taken for images when a folder is searched. The server reads most of these kinds,
and says so where it does not."""


_AROUND = "".join(map(chr, range(0x21)))
"""What browsers strip from a URL's ends: control characters and blanks."""

_LINES = {ord(letter): None for letter in "\t\n\r"}
"""What they leave out of a URL wherever it stands."""

_BLANKS = b"\t\n\f\r "
_PLAIN_LETTERS = bytes.maketrans(b"-_", b"+/")


class BinaryReader(Protocol):
    """A binary file object."""

    def read(self, size: int = -1, /) -> bytes:
        """Return the rest of the file."""


class PillowImage(Protocol):
    """An image of Pillow (`PIL.Image.Image`); Pillow itself is not needed here."""

    @property
    def mode(self) -> str:
        """Pixel format."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""

    def getbands(self) -> tuple[str, ...]:
        """Return the names of the bands."""


ImageInput: TypeAlias = (
    str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryReader | PillowImage
)
"""A path, an http(s) or data: URL, the bytes of a file, a binary file object or a Pillow image."""


@dataclass(frozen=True, slots=True)
class Upload:
    """An image to send: its file name (no folders), its bytes, its media type."""

    name: str
    content: bytes
    media_type: str


@dataclass(frozen=True, slots=True)
class Link:
    """An image that the server is to fetch."""

    url: str


def is_url(text: str) -> bool:
    """Whether `text` is an http(s) or data: URL; anything else is taken for a path."""
    return text[:8].lower().startswith(("http://", "https://", "data:"))


def load(image: ImageInput) -> Upload | Link:
    """Read an image. Blocks while a file is read.

    Raises:
        ImageInputError: there is no such file, it cannot be read, or there is nothing in it.
        TypeError: `image` is none of the things an image may be.
    """
    if isinstance(image, str) and _is_data_url(image):
        name, content = "image", _from_data_url(image)
    elif isinstance(image, str) and is_url(image):
        return Link(image)
    elif isinstance(image, (str, os.PathLike)):
        path = Path(image)
        name, content = path.name, _read(path, path.read_bytes)
    elif isinstance(image, (bytes, bytearray, memoryview)):
        name, content = "image", bytes(image)
    elif _is_pillow(image):
        name, content = "image", _encode(cast(PillowImage, image))
    elif callable(getattr(image, "read", None)):
        name, content = _from_file(cast(BinaryReader, image))
    else:
        raise TypeError(
            "an image is a path, bytes, a binary file object, a Pillow image or a URL, "
            f"not {type(image).__name__}"
        )
    if not content:
        raise ImageInputError(f"{_label(image)} is empty")
    return upload(name, content)


def upload(name: str, content: bytes) -> Upload:
    """Return a file's bytes as an image to send."""
    # A file name that is not valid text on this system must not stop its picture from being sent.
    return Upload(name.encode("utf-8", "replace").decode(), content, media_type(content))


def _label(image: ImageInput) -> str:
    return os.fspath(image) if isinstance(image, (str, os.PathLike)) else "the image"


def _read(path: object, read: Callable[[], bytes]) -> bytes:
    try:
        return read()
    except OSError as error:
        raise ImageInputError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:  # a null byte in the path, a closed file
        raise ImageInputError(f"cannot read {path!r}: {error}") from error


def _from_file(file: BinaryReader) -> tuple[str, bytes]:
    given_name = getattr(file, "name", None)
    name = Path(given_name).name if isinstance(given_name, str) else "image"
    content = _read(name, file.read)
    if not isinstance(content, (bytes, bytearray)):
        raise TypeError(
            f"open the file in binary mode: its read() returned {type(content).__name__}"
        )
    return name or "image", bytes(content)


def _is_data_url(text: str) -> bool:
    return text[:5].lower() == "data:" or text.lstrip(_AROUND)[:5].lower() == "data:"


def _from_data_url(url: str) -> bytes:
    """Return what a `data:` URL (RFC 2397) holds, read as the server and browsers read it.

    Line breaks, blanks, the letters for URLs (`-`, `_`) and wrong padding leave no doubt about the
    content; what comes after a `#` is no part of it.
    """
    head, comma, tail = url.lstrip(_AROUND)[5:].partition(",")
    if not comma:
        raise ImageInputError("the data: URL has no comma, so no data")
    tail = tail.partition("#")[0]
    _, semicolon, last = head.translate(_LINES).rpartition(";")
    if not semicolon or last.strip(_AROUND).lower() != "base64":
        return unquote_to_bytes(tail.rstrip(_AROUND).translate(_LINES))
    letters = unquote_to_bytes(tail).translate(_PLAIN_LETTERS, _BLANKS).rstrip(b"=")
    try:
        return binascii.a2b_base64(letters + b"=" * (-len(letters) % 4), strict_mode=True)
    except binascii.Error as error:
        raise ImageInputError(f"the data: URL is not valid base64: {error}") from error


def _is_pillow(image: object) -> bool:
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(image, module.Image)


def _encode(image: PillowImage) -> bytes:
    """Return a Pillow image as a file, upright: JPEG at quality 95, PNG where there is alpha."""
    from PIL import ImageOps
    from PIL.Image import Image

    assert isinstance(image, Image)  # noqa: S101 - for the type checker; `_is_pillow` has seen to it
    buffer = io.BytesIO()
    try:
        upright = ImageOps.exif_transpose(image)
        if upright.has_transparency_data:
            upright.convert("RGBA").save(buffer, "PNG", compress_level=1)
        else:
            modes = ("L", "RGB", "CMYK")
            ready = upright if upright.mode in modes else upright.convert("RGB")
            ready.save(buffer, "JPEG", quality=95)
    except (OSError, ValueError) as error:
        raise ImageInputError(f"Pillow cannot encode the image: {error}") from error
    return buffer.getvalue()


_SIGNATURES = (
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"GIF8", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (0, b"BM", "image/bmp"),
    (0, b"II*\x00", "image/tiff"),
    (0, b"MM\x00*", "image/tiff"),
    (4, b"ftypavif", "image/avif"),
    (4, b"ftyphei", "image/heic"),
)


def media_type(content: bytes) -> str:
    """Return what a file is, by its first bytes; `application/octet-stream` where unknown."""
    for offset, mark, kind in _SIGNATURES:
        if content.startswith(mark, offset):
            return kind
    return "application/octet-stream"
