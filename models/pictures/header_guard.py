"""Refuses files whose structure costs far more than their pixels, before Pillow reads them.

Pillow walks headers in Python, a step a byte or a segment, so twenty megabytes of padding, of empty
chunks or of comments a byte long keep a core busy for seconds; and a progressive JPEG may ask for
its pixels to be gone over thousands of times. The walks here are bounded and end early. What they
do not know ends at the limits of the worker that decodes; here it costs nobody a worker.
"""

from __future__ import annotations

from typing import Literal

from models.pictures.kinds import PictureError

MOST_PARTS = 20_000
"""Most segments, chunks or blocks of a header. Real files have up to some hundreds; a PNG written
in pieces of 4 KiB has 5,000 in 20 MB."""

MOST_STRIPS = 32_768
"""Most strips or tiles of a TIFF. A scan that is written row by row has one a row."""

MOST_PADDING = 64 * 1024
"""Most bytes between a header's parts."""

MOST_SCANS = 20
"""Scans that a JPEG with the most pixels may have; a smaller one may have more, in proportion.
Encoders write about ten."""

_SOI, _SOS, _EOI = b"\xff\xd8", 0xDA, 0xD9
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}
_GIF_HEADER = 13
_TIFF = (b"II*\0", b"MM\0*", b"II\0*", b"MM*\0", b"II+\0", b"MM\0+")
_TIFF_PARTS = (273, 279, 324, 325)
"""Tags with a number for each strip or tile: where it is, how long it is."""


def check_header(data: bytes) -> None:
    """Raise `PictureError` if the header has more parts, or more padding, than any real file."""
    if data.startswith(b"\xff\xd8\xff"):
        jpeg_data_start(data)
    elif data.startswith(b"\x89PNG\r\n\x1a\n"):
        _walk_png(data)
    elif data.startswith((b"GIF87a", b"GIF89a")):
        _walk_gif(data)
    elif data.startswith(_TIFF):
        _count_tiff_parts(data)


def check_scans(data: bytes, width: int, height: int, max_pixels: int) -> int:
    """Return how many scans a JPEG has; 1 where all its components come together.

    Args:
        data: the file; `check_header` has been passed.
        width: of the picture.
        height: of the picture.
        max_pixels: most that a picture may have.

    Raises:
        PictureError: decoding would go over too many pixels.
    """
    start = jpeg_data_start(data)
    if not _in_several_scans(data, start):
        return 1
    scans = data.count(b"\xff\xda", start)
    if scans * width * height > MOST_SCANS * max_pixels:
        raise PictureError("broken", f"The JPEG has {scans:,} scans, too many for its size.")
    return scans


def jpeg_data_start(data: bytes) -> int:
    """Return where a JPEG's first scan begins, or where its header breaks off.

    Raises:
        PictureError: the header has too many parts or too much padding.
    """
    place, parts, padding = len(_SOI), 0, 0
    while place < len(data):
        marker = data.find(b"\xff", place)
        if marker < 0:
            _refuse_over(parts, padding + len(data) - place)
            break
        kind = marker + 1
        while kind < len(data) and data[kind] == 0xFF and kind - place <= MOST_PADDING:
            kind += 1
        padding += kind - 1 - place
        parts += 1
        _refuse_over(parts, padding)
        if kind >= len(data) or data[kind] in (_SOS, _EOI):
            return marker
        place = kind + 1
        if data[kind] not in _WITHOUT_LENGTH and data[kind] != 0:
            place += max(2, int.from_bytes(data[place : place + 2], "big"))
    return len(data)


def _in_several_scans(data: bytes, start: int) -> bool:
    """Whether the first scan, at `start`, holds but a part of the picture.

    A progressive JPEG's first scan ends before coefficient 63; another's may hold one component.
    """
    scan = data.find(b"\xff\xda", start)
    if scan < 0 or scan + 5 > len(data):
        return False
    components = data[scan + 4]
    spectral_end = scan + 6 + 2 * components
    return components == 1 or data[spectral_end : spectral_end + 1] != b"\x3f"


def _walk_png(data: bytes) -> None:
    place = 8
    for _ in range(MOST_PARTS):
        if place >= len(data):
            return
        place += 12 + int.from_bytes(data[place : place + 4], "big")
    raise _unreasonable("chunks", MOST_PARTS)


def _walk_gif(data: bytes) -> None:
    """Walk the blocks before the first frame; what comes after it is not read."""
    place = _GIF_HEADER + (3 << ((data[10] & 7) + 1) if len(data) > 10 and data[10] & 0x80 else 0)
    parts, padding = 0, 0
    while place < len(data) and data[place] not in b",;":
        if data[place] != 0x21:
            padding += 1
            place += 1
        else:
            place += 2
            while place < len(data) and data[place]:
                place += 1 + data[place]
                parts += 1
                _refuse_over(parts, padding)
            place += 1
            parts += 1
        _refuse_over(parts, padding)


def _count_tiff_parts(data: bytes) -> None:
    """Look how many strips or tiles the first picture has."""
    order: Literal["little", "big"] = "little" if data.startswith(b"II") else "big"
    wide = data[2:3] == b"+"  # a big-endian one is none to Pillow

    def number(place: int, size: int) -> int:
        return int.from_bytes(data[place : place + size], order)

    start, count_size, entry_size, size = (8, 8, 20, 8) if wide else (4, 2, 12, 4)
    table = number(start, size)
    entries = min(number(table, count_size), MOST_PARTS)
    first = table + count_size
    for entry in range(first, min(first + entries * entry_size, len(data)), entry_size):
        if number(entry, 2) in _TIFF_PARTS and number(entry + 4, size) > MOST_STRIPS:
            raise _unreasonable("strips or tiles", MOST_STRIPS)


def _refuse_over(parts: int, padding: int) -> None:
    if parts > MOST_PARTS:
        raise _unreasonable("parts", MOST_PARTS)
    if padding > MOST_PADDING:
        raise _unreasonable("bytes of padding", MOST_PADDING)


def _unreasonable(what: str, most: int) -> PictureError:
    return PictureError("broken", f"The picture's header has more than {most:,} {what}.")
