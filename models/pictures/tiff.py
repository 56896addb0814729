"""TIFF: what of a file its pixels need, and what Pillow would read wrongly without a word."""

from __future__ import annotations

import io
import math
import struct
import sys
from typing import Final, NamedTuple

from PIL import Image, TiffImagePlugin

from models.pictures import jpeg, orientation
from models.pictures.deep_colour import raw_mode, set_raw_mode
from models.pictures.kinds import PictureError, broken, truncated
from models.pictures.rgb import UNSIGNED, WHITE_IS_ZERO

_WIDTH, _BITS, _COMPRESSION, _COLOURS, _SAMPLES, _PLANES = 256, 258, 259, 262, 277, 284
_HEIGHT, _STRIPS, _ROWS, _STRIP_BYTES = 257, 273, 278, 279
_TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES = 322, 323, 324, 325
_ORIENTATION, _SUBSAMPLING, _EXTRA, _FORM, _JPEG_TABLES = 274, 530, 338, 339, 347
_NEEDED: Final = frozenset(
    (
        *(_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _COLOURS, 266, _STRIPS, _SAMPLES, _ROWS),
        *(_STRIP_BYTES, _PLANES, 292, 293, 317, 320, _TILE_WIDTH, _TILE_HEIGHT, _TILES),
        *(_TILE_BYTES, 332, _EXTRA, _FORM, _JPEG_TABLES, *range(512, 522), 529, _SUBSAMPLING),
        *(531, 532, 0xBC01),
    )
)
"""Tags that say where pixels are and what they mean; all others are side data."""

_RAW, _OLD_JPEG, _JPEG = 1, 6, 7
_WHITE_IS_ZERO, _YCBCR = 0, 6
_UNSIGNED, _SIGNED = 1, 2
_MARKS = {b"II*\0": "<", b"MM\0*": ">", b"II+\0": "<", b"MM\0+": ">"}
_SIZES = {3: 2, 4: 4, 5: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Bytes of a value by its type; of all others, one."""

_UNKNOWN = ("unknown pixel mode", "unknown data organization")
_AS_UNPACKED = {"I;16BS": "I;16NS", "I;32BS": "I;32NS", "F;32BF": "F;32NF"}
"""Raw modes that Pillow takes although libtiff has already brought bytes into the native order."""


class Tiff(NamedTuple):
    """A TIFF without side data.

    Attributes:
        data: the file.
        orientation: 1..8.
        is_whole: whether its table of tags, with all that pixels need, is within the file.
    """

    data: bytes
    orientation: int
    is_whole: bool


def without_side_data(data: bytes) -> Tiff:
    """Return a TIFF's first picture without tags that pixels do not need.

    The table of tags is written anew behind the rest. What has no table is returned as it is.
    """
    order = _MARKS.get(data[:4])
    if order is None:
        return Tiff(data, orientation.UPRIGHT, False)
    wide = data[2:3] == b"+" or data[3:4] == b"+"
    number, count_form, entry_form = ("Q", "Q", "HHQ8s") if wide else ("L", "H", "HHL4s")
    at = 8 if wide else 4
    entry_size = struct.calcsize(order + entry_form)
    try:
        (table,) = struct.unpack_from(order + number, data, at)
        (count,) = struct.unpack_from(order + count_form, data, table)
    except struct.error:
        return Tiff(data, orientation.UPRIGHT, False)
    first = table + struct.calcsize(order + count_form)
    entries = data[first : first + min(count, 65535) * entry_size]
    is_whole = len(entries) == count * entry_size
    turn, kept = None, []
    for place in range(0, len(entries) - entry_size + 1, entry_size):
        tag, kind, values, value = struct.unpack_from(order + entry_form, entries, place)
        if tag in _NEEDED:
            kept.append(entries[place : place + entry_size])
            size = values * _SIZES.get(kind, 1)
            inside = size <= len(value) or struct.unpack(order + number, value)[0] + size <= len(
                data
            )
            is_whole = is_whole and inside
        elif tag == _ORIENTATION and turn is None:
            turn = orientation.from_tag(order, kind, values, value)
    padding = bytes(-len(data) % 8)
    head = data[:at] + struct.pack(order + number, len(data) + len(padding))
    tail = struct.pack(order + count_form, len(kept)) + b"".join(kept) + bytes(8)
    rest = memoryview(data)[len(head) :]
    whole = b"".join((head, rest, padding, tail))
    return Tiff(whole, turn or orientation.UPRIGHT, is_whole)


def settle(image: TiffImagePlugin.TiffImageFile, data: bytes) -> None:
    """Set right, or refuse, what Pillow would read wrongly; `image` is opened, not decoded.

    Args:
        image: of `data`.
        data: the file.

    Raises:
        PictureError: pixels are missing, or lie in a way that is not read here.
    """
    tags = image.tag_v2
    compression, planes = tags.get(_COMPRESSION, _RAW), tags.get(_PLANES, 1)
    colours, form = tags.get(_COLOURS, _WHITE_IS_ZERO), tags.get(_FORM, (_UNSIGNED,))[0]
    bits, raw = tags.get(_BITS, (1,))[0], raw_mode(image)
    _check_parts(tags, data)
    if form == _SIGNED and bits == 8:
        raise _unread("signed bytes")
    if colours == _YCBCR and compression == _RAW and tags.get(_SUBSAMPLING, (1, 1)) != (1, 1):
        raise _unread("subsampled colours that are not compressed")
    if planes == 2 and image.mode == "La":
        raise _unread("grey in one plane and transparency in another")
    if image.mode in ("I;16", "I;16B", "I", "F") and colours == _WHITE_IS_ZERO:
        image.info[WHITE_IS_ZERO] = True
    if image.mode == "I" and form == _UNSIGNED and bits == 32:
        image.info[UNSIGNED] = True
    if compression != _RAW and raw in _AS_UNPACKED and sys.byteorder == "little":
        set_raw_mode(image, _AS_UNPACKED[raw])
    if compression == _RAW and planes == 2 and bits == 16 and len(image.getbands()) > 1:
        if image.mode not in ("RGB", "RGBA"):
            raise _unread("16-bit colours in planes that are not compressed")
        order = "L" if tags.prefix == b"II" else "B"
        image.tile = [
            tile._replace(args=(f"{tile.args[0]};16{order}", *tile.args[1:]))
            for tile in image.tile
            if isinstance(tile.args, tuple)
        ]


def deep_raw_mode(image: TiffImagePlugin.TiffImageFile) -> str:
    """Return the raw mode of an opened file with colours, other than grey, of 16 bits.

    Empty where it has none; just "16" where colours lie in planes: their low bytes cannot be had.
    """
    if image.tag_v2.get(_BITS, (1,))[0] != 16 or len(image.getbands()) == 1:
        return ""
    return "16" if image.tag_v2.get(_PLANES) == 2 else raw_mode(image)


def is_of_unread_kind(tiff: Tiff) -> bool:
    """Whether a file that Pillow does not identify is a TIFF whose pixels it does not know."""
    if not tiff.is_whole:
        return False
    try:
        TiffImagePlugin.TiffImageFile(io.BytesIO(tiff.data))
    except SyntaxError as error:
        more_planes_than_colours = isinstance(error.__cause__, IndexError)
        return more_planes_than_colours or str(error) in _UNKNOWN
    except Exception:  # it is damaged; what that makes Pillow raise is anyone's guess
        return False
    return False


def _check_parts(tags: TiffImagePlugin.ImageFileDirectory_v2, data: bytes) -> None:
    """Refuse a file that has fewer strips or tiles than its size asks for, or cut ones."""
    if tags.get(_COMPRESSION) == _OLD_JPEG:
        return
    width, height = tags[_WIDTH], tags[_HEIGHT]
    if _STRIPS in tags:
        places, sizes = tags[_STRIPS], tags.get(_STRIP_BYTES, ())
        parts = math.ceil(height / max(1, min(height, tags.get(_ROWS, height))))
    else:
        places, sizes = tags.get(_TILES, ()), tags.get(_TILE_BYTES, ())
        across, down = (max(1, tags.get(tag, 1)) for tag in (_TILE_WIDTH, _TILE_HEIGHT))
        parts = math.ceil(width / across) * math.ceil(height / down)
    if tags.get(_PLANES, 1) == 2:
        parts *= max(1, tags.get(_SAMPLES, 1) - len(tags.get(_EXTRA, ())))
    if len(places) < parts:
        raise truncated()
    if tags.get(_COMPRESSION) == _JPEG:
        tables = tags.get(_JPEG_TABLES, b"")
        for place, size in zip(places, sizes, strict=False):
            if not isinstance(place, int) or not isinstance(size, int):
                raise broken(TypeError("a strip lies nowhere"))
            if _is_cut(data[place : place + size], tables):
                raise truncated()


def _is_cut(part: bytes, tables: bytes) -> bool:
    """Whether a strip or tile, a JPEG, has no end marker and lacks pixels."""
    if part.rstrip(b"\0").endswith(jpeg.END):
        return False
    whole = jpeg.without_side_data(tables.removesuffix(jpeg.END) + part[2 * bool(tables) :])
    with Image.open(io.BytesIO(whole.data), formats=("JPEG",)) as image:
        image.load()
        return jpeg.lacks_scans(whole) or jpeg.lacks_pixels(whole, image)


def _unread(what: str) -> PictureError:
    return PictureError("unsupported", f"The file is a TIFF with {what}, not read here")
