"""How a picture has to be turned to stand upright: the one place that knows."""

from __future__ import annotations

import re
import struct
from typing import Final

from PIL import ExifTags, Image

UPRIGHT = 1
"""The orientation of a picture that needs no turn."""

ORIENTATION: Final = "upright orientation"
"""Key in `Image.info` where the reader leaves what it found."""

TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What an orientation, as EXIF counts them, asks for."""

SWAPPING: Final = (
    Image.Transpose.TRANSPOSE,
    Image.Transpose.ROTATE_270,
    Image.Transpose.TRANSVERSE,
    Image.Transpose.ROTATE_90,
)
"""Turns that swap width and height."""

_TAG = int(ExifTags.Base.Orientation)
_EXIF_MARK = b"Exif\0\0"
_FORMATS = {1: "B", 3: "H", 4: "L"}
"""TIFF's types of whole numbers that an orientation may be given in: byte, short, long."""

_IN_XMP = re.compile(rb'tiff:Orientation(?:="|>)([1-8])["<]')


def turn_of(image: Image.Image) -> Image.Transpose | None:
    """Return how a picture has to be turned, None if it stands upright.

    What the reader found; in a picture that it did not open, what Pillow finds. A good picture with
    a damaged EXIF block is a good picture.
    """
    found = image.info.get(ORIENTATION)
    if found is None:
        try:
            found = image.getexif().get(_TAG)
        except Exception:  # what damaged blocks make Pillow raise is anyone's guess
            return None
    return TURNS.get(found) if isinstance(found, int) else None


def from_exif(block: bytes) -> int | None:
    """Return the orientation, 1..8, that an EXIF block holds, or None; never raises."""
    if block.startswith(_EXIF_MARK):
        block = block[len(_EXIF_MARK) :]
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(block[:4])
    if order is None or len(block) < 8:
        return None
    (place,) = struct.unpack_from(order + "L", block, 4)
    if place + 2 > len(block):
        return None
    (count,) = struct.unpack_from(order + "H", block, place)
    table = block[place + 2 : place + 2 + 12 * count]
    for tag, kind, number, value in struct.iter_unpack(
        order + "HHL4s", table[: len(table) // 12 * 12]
    ):
        if tag == _TAG:
            return from_tag(order, kind, number, value)
    return None


def from_tag(order: str, kind: int, number: int, value: bytes) -> int | None:
    """Return the orientation that a TIFF tag holds, or None where it is none.

    Args:
        order: of bytes, as in `struct`.
        kind: the tag's type.
        number: how many values it has.
        value: the bytes that hold the value or tell where it is.
    """
    if kind not in _FORMATS or number != 1:
        return None
    (found,) = struct.unpack_from(order + _FORMATS[kind], value)
    return found if found in range(1, 9) else None


def from_xmp(packet: bytes) -> int | None:
    """Return the orientation, 1..8, that an XMP packet holds, or None."""
    match = _IN_XMP.search(packet)
    return int(match[1]) if match else None
