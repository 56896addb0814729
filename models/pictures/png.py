"""PNG: what of a file its pixels need, and whether all of them are there."""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

from PIL import Image

from models.pictures import orientation

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_END = b"\0\0\0\0IEND\xae\x42\x60\x82"
_GREY, _RGB, _PALETTE = 0, 2, 3
_CHANNELS = {_GREY: 1, _RGB: 3, _PALETTE: 1, 4: 2, 6: 4}
_KEY_BYTES = {_GREY: range(2, 3), _RGB: range(6, 7), _PALETTE: range(1, 257)}
"""How long the transparency of each type of colour is."""

_PASSES = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
"""Adam7: first column, first row, and the steps between them."""

_EXIF_TEXT, _XMP_TEXT = b"Raw profile type exif", b"XML:com.adobe.xmp"
_MOST_TEXT = 1024 * 1024
"""Most bytes of a text that are unpacked to look for an orientation."""

_STEP = 1024 * 1024


class Png(NamedTuple):
    """A PNG without side data.

    Attributes:
        data: the file.
        orientation: 1..8.
        pixels: where in it the pixels' data lies, chunk by chunk.
    """

    data: bytes
    orientation: int
    pixels: list[tuple[int, int]]


class _Header(NamedTuple):
    """What IHDR says."""

    width: int
    height: int
    depth: int
    colour: int
    interlaced: bool


def without_side_data(data: bytes) -> Png:
    """Leave out every chunk that pixels do not need, damaged or not, and animation.

    What is no PNG as far as its pixels is returned as it is.
    """
    header: _Header | None = None
    spans, pixels, size = [(0, len(SIGNATURE))], [], len(SIGNATURE)
    exif: int | None = None
    xmp: int | None = None
    place = len(SIGNATURE)
    while place + 8 <= len(data):
        (length,) = struct.unpack_from(">L", data, place)
        kind, end = data[place + 4 : place + 8], place + 12 + length
        body = slice(place + 8, end - 4)
        if kind == b"IEND" or not kind.isalpha() or (header is None) != (kind == b"IHDR"):
            break
        wanted = False
        if header is None:
            if length != 13 or end > len(data):
                break
            header = _header(data)
            wanted = True
        elif kind == b"IDAT":
            wanted = True
            pixels.append((size + 8, size + min(8 + length, len(data) - place)))
        elif kind == b"PLTE":
            wanted = header.colour == _PALETTE and not pixels
        elif kind == b"tRNS":
            fits = length in _KEY_BYTES.get(header.colour, ())
            wanted = fits and not pixels and _is_sound(data, place, end)
        elif kind == b"eXIf":
            exif = exif or orientation.from_exif(data[body])
        elif kind in (b"tEXt", b"zTXt", b"iTXt"):
            exif = exif or _in_profile(kind, data[body])
            xmp = xmp or _in_xmp(kind, data[body])
        if wanted:
            end = min(end, len(data))
            if spans[-1][1] == place:
                spans[-1] = (spans[-1][0], end)
            else:
                spans.append((place, end))
            size += end - place
        place = end
    found = exif or xmp or orientation.UPRIGHT
    if not pixels or (len(spans) == 1 and data.startswith(_END, size)):
        return Png(data, found, pixels)
    view = memoryview(data)
    return Png(b"".join([*(view[first:last] for first, last in spans), _END]), found, pixels)


def lacks_rows(png: Png, image: Image.Image) -> bool:
    """Whether a decoded picture is black from some row on because its data ends there.

    The last row tells; where it is black, or where rows came in passes, the data is counted.
    """
    header = _header(png.data)
    bottom = image.crop((0, image.height - 1, *image.size))
    if not header.interlaced and bottom.getbbox(alpha_only=False) is not None:
        return False
    wanted, stream = _unpacked_size(header), zlib.decompressobj()
    for first, last in png.pixels:
        rest = png.data[first:last]
        while rest and wanted > 0:
            wanted -= len(stream.decompress(rest, _STEP))
            rest = stream.unconsumed_tail
    return wanted > 0 and wanted > len(stream.flush())


def has_deep_colour(png: Png) -> bool:
    """Whether the colours, other than grey without transparency, have 16 bits."""
    header = _header(png.data)
    return header.depth == 16 and header.colour != _GREY


def _header(data: bytes) -> _Header:
    width, height, depth, colour = struct.unpack_from(">LLBB", data, 16)
    return _Header(width, height, depth, colour, data[28] != 0)


def _unpacked_size(header: _Header) -> int:
    bits = header.depth * _CHANNELS.get(header.colour, 1)
    passes = _PASSES if header.interlaced else ((0, 0, 1, 1),)
    total = 0
    for left, top, across, down in passes:
        columns = -(-(header.width - left) // across)
        rows = -(-(header.height - top) // down)
        if columns > 0 and rows > 0:
            total += rows * (1 + (columns * bits + 7) // 8)
    return total


def _is_sound(data: bytes, place: int, end: int) -> bool:
    return zlib.crc32(data[place + 4 : end - 4]).to_bytes(4, "big") == data[end - 4 : end]


def _in_profile(kind: bytes, body: bytes) -> int | None:
    """Return the orientation in EXIF that lies in a text, as ImageMagick once wrote it."""
    text = _text(kind, body, _EXIF_TEXT)
    lines = text.split(b"\n")[3:]
    digits = b"".join(lines)
    try:
        return orientation.from_exif(bytes.fromhex(digits[: len(digits) // 2 * 2].decode("ascii")))
    except ValueError:
        return None


def _in_xmp(kind: bytes, body: bytes) -> int | None:
    return orientation.from_xmp(_text(kind, body, _XMP_TEXT))


def _text(kind: bytes, body: bytes, keyword: bytes) -> bytes:
    """Return the beginning of a text if it has that keyword and can be unpacked, else nothing."""
    if not body.startswith(keyword + b"\0"):
        return b""
    rest, packed = body[len(keyword) + 1 :], kind == b"zTXt"
    if packed:
        rest = rest[1:]
    elif kind == b"iTXt":
        packed = rest[:1] == b"\1"
        rest = rest[2:].split(b"\0", 2)[-1]
    if not packed:
        return rest[:_MOST_TEXT]
    try:
        return zlib.decompressobj().decompress(rest, _MOST_TEXT)
    except zlib.error:
        return b""
