"""JPEG: what of a file its pixels need, and whether all of them are there.

Side data is left out before the picture is opened. An end marker alone says nothing: a file that
lacks nothing else is whole, and half a picture with a marker at its end is not. libjpeg fills with
grey what is missing and tells nobody, so that has to be found out here.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import NamedTuple

from PIL import Image

from models.pictures import orientation

END = b"\xff\xd9"

_SOI = b"\xff\xd8"
_SCAN, _END, _ADOBE, _JFIF, _APP1 = 0xDA, 0xD9, 0xEE, 0xE0, 0xE1
_WITHOUT_LENGTH = frozenset((0x01, *range(0xD0, 0xD9)))
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset((0xC2, 0xC6, 0xCA, 0xCE))
_TABLES = frozenset((0xC4, 0xCC, 0xDB, 0xDD))
_EXIF, _XMP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
_COLOURS = {_JFIF: (b"JFIF\0", 14), _ADOBE: (b"Adobe", 12)}
"""Segments that say what a file's colours are, and how long those are that libjpeg heeds."""

# In a scan's data `FF 00` is a byte, `FF D0` to `FF D7` restart the decoder, `FF FF` is padding.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_NO_PADDING = re.compile(rb"[^\xff]")

_FILLER = b"\x5a\xa5\x3c\x96" * 1024
"""Stands for scan data: a decoder that lacks some finds a picture in it."""

_GREY = range(127, 129)
"""What libjpeg fills with, in every channel."""

_HUFFMAN, _BLOCK_ENDS = 0xC4, 0
_HOLE = bytes(1024)

_MOST_ZEROS = 8
"""Zeros that scans are taken to end in."""

_MOST_SCANS = 1000
"""Scans that are looked at; encoders write about ten."""


class Jpeg(NamedTuple):
    """A JPEG without side data.

    Attributes:
        data: the file; it ends in an end marker if there is a scan.
        orientation: 1..8.
        start: where the first scan begins; the length of `data` where there is none.
        had_end: whether the file had an end marker of its own.
    """

    data: bytes
    orientation: int
    start: int
    had_end: bool


class _Scan(NamedTuple):
    """A scan: the components in it, their coefficients, and the bits of those it has brought.

    Its data lies at `start:end`.
    """

    components: tuple[int, ...]
    first: int
    last: int
    high: int
    low: int
    start: int
    end: int


def without_side_data(data: bytes) -> Jpeg:
    """Leave out everything that pixels do not need: EXIF, profiles, comments, previews, padding.

    What is no JPEG as far as the first scan is returned as it is.
    """
    kept, place, changed = [(0, len(_SOI))], len(_SOI), False
    exif: int | None = None
    xmp: int | None = None
    while place + 4 <= len(data):
        if data[place] != 0xFF:
            # Between segments libjpeg skips to the next marker, and so do browsers.
            place, changed = data.find(b"\xff", place), True
            if place < 0:
                break
            continue
        kind = data[place + 1]
        if kind == 0xFF:
            padding = _NO_PADDING.search(data, place)
            if padding is None:
                break
            place, changed = padding.start() - 1, True
            continue
        if kind == _END:
            break
        if kind == 0 or kind in _WITHOUT_LENGTH:
            place, changed = place + 2, True
            continue
        if kind == _SCAN:
            found = exif or xmp or orientation.UPRIGHT
            return _assembled(data, kept, place, found, changed)
        end = place + 2 + max(2, data[place + 2] << 8 | data[place + 3])
        if kind in _FRAMES or kind in _TABLES or _tells_colours(data, kind, place, end):
            kept.append((place, end))
        else:
            changed = True
            if kind == _APP1 and data.startswith(_EXIF, place + 4):
                exif = exif or orientation.from_exif(data[place + 4 : end])
            elif kind == _APP1 and data.startswith(_XMP, place + 4):
                xmp = xmp or orientation.from_xmp(data[place + 4 : end])
        place = end
    return Jpeg(data, exif or xmp or orientation.UPRIGHT, len(data), True)


def lacks_scans(jpeg: Jpeg) -> bool:
    """Whether a picture in several scans lacks some of their data; False for one in a single scan.

    Each component needs all its coefficients, to the last bit. The data of the last scan is looked
    at where the file had no end marker, and otherwise where a cut would show: in the picture's
    brightness, or in what a whole component starts from.
    """
    progressive, components = _frame(jpeg)
    if not progressive and jpeg.data[jpeg.start + 4 : jpeg.start + 5] == bytes([len(components)]):
        return False
    scans = list(_scans(jpeg.data, jpeg.start))
    if not scans or len(scans) == _MOST_SCANS:
        return False
    missing = {component: set(range(64)) for component in components}
    for scan in scans:
        if scan.low and progressive:
            continue  # the last bits are still to come
        band = range(scan.first, scan.last + 1) if progressive else range(64)
        for component in scan.components:
            missing.get(component, set()).difference_update(band)
    if any(missing.values()):
        return True
    last = scans[-1]
    shows = last.high == 0 and (last.first == 0 or components[0] in last.components)
    return (shows or not jpeg.had_end) and _is_cut(jpeg.data, last, 2)


def lacks_pixels(jpeg: Jpeg, image: Image.Image) -> bool:
    """Whether a decoded picture is filled with grey because its only scan ends early.

    The last pixel tells, all but the very last block. Where it is such a grey, or there was no end
    marker, the file is decoded again to be sure.
    """
    corner = image.getpixel((image.width - 1, image.height - 1))
    values = corner if isinstance(corner, tuple) else (corner,)
    if jpeg.had_end and not all(value in _GREY for value in values):
        return False
    scan = next(_scans(jpeg.data, jpeg.start), None)
    return scan is not None and _is_cut(jpeg.data, scan, 8)


def has_hole(jpeg: Jpeg) -> bool:
    """Whether a part of the only scan was never written: a run of zeros that is no picture.

    Zeros are a picture where the shortest code says that a block ends; usual tables have another.
    """
    if jpeg.data.find(_HOLE, jpeg.start) < 0 or _frame(jpeg)[0]:
        return False
    table = jpeg.data[jpeg.start + 6] & 15  # of the first component; the others come between
    return _shortest_codes(jpeg).get(table, _BLOCK_ENDS) != _BLOCK_ENDS


def _shortest_codes(jpeg: Jpeg) -> dict[int, int]:
    """Return, for each table of coefficients other than the first, what its first code means."""
    found = {}
    for place, end in _segments(jpeg):
        table = place + 4
        while jpeg.data[place + 1] == _HUFFMAN and table + 17 < end:
            if jpeg.data[table] >> 4:
                found[jpeg.data[table] & 15] = jpeg.data[table + 17]
            table += 17 + sum(jpeg.data[table + 1 : table + 17])
    return found


def _tells_colours(data: bytes, kind: int, place: int, end: int) -> bool:
    if kind not in _COLOURS:
        return False
    mark, length = _COLOURS[kind]
    return end - place - 4 >= length and data.startswith(mark, place + 4)


def _assembled(
    data: bytes, kept: list[tuple[int, int]], scan: int, turn: int, changed: bool
) -> Jpeg:
    """Return a JPEG of the segments that are kept and all scans from `scan` on."""
    view, had_end, tail = memoryview(data), True, b""
    pixels = view[scan:]
    if not data.endswith(END):
        scans = list(_scans(data, scan))
        end = scans[-1].end if scans else len(data)
        had_end, tail = data.startswith(END, end), END
        pixels = view[scan:end]
        if not had_end:
            pixels = pixels[: len(_written(data[scan:end]))]
    elif not changed:
        return Jpeg(data, turn, scan, had_end)
    parts = [view[first:last] for first, last in kept]
    whole = b"".join([*parts, pixels, tail])
    return Jpeg(whole, turn, sum(map(len, parts)), had_end)


def _written(scans: bytes) -> bytes:
    """Return what was written of scans that have no end marker, without what fills the file up.

    Scans may end in a few zeros; many would be a picture, where they are read as data.
    """
    written = scans.rstrip(b"\0")
    if len(written) == len(scans):
        return scans.rstrip(b"\xff")
    return scans[: len(written) + _MOST_ZEROS]


def _frame(jpeg: Jpeg) -> tuple[bool, tuple[int, ...]]:
    """Return whether a picture is progressive, and its components; none where it has no frame."""
    for place, end in _segments(jpeg):
        kind = jpeg.data[place + 1]
        if kind in _FRAMES:
            return kind in _PROGRESSIVE, tuple(jpeg.data[place + 10 : end : 3])
    return False, ()


def _segments(jpeg: Jpeg) -> Iterator[tuple[int, int]]:
    """Yield where the segments before the first scan begin and end."""
    place = len(_SOI)
    while place < jpeg.start:
        end = place + 2 + max(2, int.from_bytes(jpeg.data[place + 2 : place + 4], "big"))
        yield place, end
        place = end


def _scans(data: bytes, place: int) -> Iterator[_Scan]:
    """Yield the scans from the one on whose marker is at `place`, `_MOST_SCANS` at most."""
    for _ in range(_MOST_SCANS):
        start = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        header = data[place + 4 : start]
        count = header[0] if header else 0
        if len(header) < 4 + 2 * count:
            return
        first, last, bits = header[1 + 2 * count : 4 + 2 * count]
        marker = _MARKER.search(data, start)
        end = marker.start() if marker else len(data)
        components = tuple(header[1 : 1 + 2 * count : 2])
        yield _Scan(components, first, last, bits >> 4, bits & 15, start, end)
        following = _next_scan(data, end)
        if following is None:
            return
        place = following


def _next_scan(data: bytes, place: int) -> int | None:
    """Return where the next scan's marker is; `place` is that of the marker after a scan."""
    while place + 4 <= len(data) and data[place] == 0xFF:
        kind = data[place + 1]
        if kind == _SCAN:
            return place
        if kind == 0xFF:
            place += 1
        elif kind in _TABLES or kind >= _JFIF:
            place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        else:
            return None
    return None


def _is_cut(data: bytes, scan: _Scan, scale: int) -> bool:
    """Whether the decoder would read on behind the last scan.

    Args:
        data: a JPEG.
        scan: its last one.
        scale: the files that are compared are decoded at the `scale`-th part of their size.
    """
    written = data[: scan.end].rstrip(b"\xff")  # padding of the marker
    restarts = [written.rfind(bytes((0xFF, 0xD0 + number)), scan.start) for number in range(8)]
    next_one = restarts.index(max(restarts)) + 1 if max(restarts) > 0 else 0
    filler = _FILLER + b"".join(
        bytes((0xFF, 0xD0 + (next_one + number) % 8)) + _FILLER for number in range(8)
    )
    return _pixels(written + END, scale) != _pixels(written + filler + END, scale)


def _pixels(data: bytes, scale: int) -> bytes:
    with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
        image.draft(None, (max(1, image.width // scale), max(1, image.height // scale)))
        return image.tobytes()
