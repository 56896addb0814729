"""Picture files made by hand: what encoders do not write, though decoders have to read it."""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

EOI = b"\xff\xd9"
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2))


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    """Return an image as a file, as Pillow writes it."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def photograph(width: int = 96, height: int = 64) -> Image.Image:
    """Something with edges and gradients at every place, and no grey in its last corner."""
    y, x = np.mgrid[0:height, 0:width]
    red, green = x * 255 // max(1, width - 1), y * 255 // max(1, height - 1)
    blue = ((x // 7 + y // 5) % 2) * 200 + 40
    return Image.fromarray(np.dstack([red, green, blue]).astype(np.uint8))


# --- PNG ------------------------------------------------------------------------------------------


def chunk(kind: bytes, data: bytes = b"", *, sound: bool = True) -> bytes:
    """Return a PNG chunk, its checksum wrong if it is not to be sound."""
    check = zlib.crc32(kind + data) ^ (not sound)
    return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", check)


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return a PNG's chunks, each with its kind."""
    found, place = [], 8
    while place < len(data):
        (length,) = struct.unpack_from(">L", data, place)
        found.append((data[place + 4 : place + 8], data[place : place + 12 + length]))
        place += 12 + length
    return found


def with_chunk(data: bytes, extra: bytes, before: bytes) -> bytes:
    """Return a PNG with something before its first chunk of a kind."""
    place = data.index(before) - 4
    return data[:place] + extra + data[place:]


def png(samples: np.ndarray[Any, Any], colour: int, rows: int | None = None) -> bytes:
    """Return a PNG whose stream ends, validly, after some rows.

    Args:
        samples: `uint8` or `uint16 [H, W, S]`.
        colour: PNG's type.
        rows: how many are written; all by default.
    """
    lines = b"".join(b"\0" + row.tobytes() for row in samples.astype(_big(samples))[:rows])
    return _png(samples, colour, lines, interlaced=False)


def interlaced_png(samples: np.ndarray[Any, Any], colour: int, passes: int = 7) -> bytes:
    """Return an interlaced PNG of the first passes."""
    big = samples.astype(_big(samples))
    parts = [big[top::down, left::across] for left, top, across, down in (*_ADAM7, (0, 1, 1, 2))]
    lines = b"".join(b"\0" + row.tobytes() for part in parts[:passes] if part.size for row in part)
    return _png(samples, colour, lines, interlaced=True)


def _big(samples: np.ndarray[Any, Any]) -> np.dtype[Any]:
    return samples.dtype.newbyteorder(">")


def _png(samples: np.ndarray[Any, Any], colour: int, lines: bytes, interlaced: bool) -> bytes:
    height, width = samples.shape[:2]
    bits = samples.dtype.itemsize * 8
    header = struct.pack(">LLBBBBB", width, height, bits, colour, 0, 0, interlaced)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND")
    return b"\x89PNG\r\n\x1a\n" + body


# --- JPEG -----------------------------------------------------------------------------------------


def segment(marker: int, data: bytes) -> bytes:
    """Return a JPEG segment."""
    return bytes((0xFF, marker)) + struct.pack(">H", len(data) + 2) + data


def scan_starts(data: bytes) -> list[int]:
    """Return where the markers of a JPEG's scans are."""
    return [found.start() for found in re.finditer(b"\xff\xda", data)]


def cuts(data: bytes, shares: tuple[float, ...]) -> Iterator[bytes]:
    """Yield beginnings of a JPEG that hold those shares of its scans' data."""
    start = scan_starts(data)[0] + 20
    for share in shares:
        yield data[: start + int((len(data) - 2 - start) * share)]


def separate_scans(image: Image.Image, scans: int = 3) -> bytes:
    """Return a sequential JPEG that holds each component in a scan of its own.

    Args:
        image: in colour.
        scans: how many are written.
    """
    parts = [encoded(band, "JPEG", quality=90) for band in image.convert("YCbCr").split()]
    start = scan_starts(parts[0])[0]
    frame = parts[0].index(b"\xff\xc0")
    height_and_width = parts[0][frame + 5 : frame + 9]
    components = b"".join(bytes((number, 0x11, 0)) for number in (1, 2, 3))
    head = parts[0][:frame] + segment(0xC0, b"\x08" + height_and_width + b"\3" + components)
    frame_end = frame + 2 + struct.unpack_from(">H", parts[0], frame + 2)[0]
    head += parts[0][frame_end:start]
    for number, part in enumerate(parts[:scans], 1):
        first = scan_starts(part)[0]
        length = struct.unpack_from(">H", part, first + 2)[0]
        head += segment(0xDA, bytes((1, number, 0, 0, 63, 0))) + part[first + 2 + length : -2]
    return head + EOI


# --- WebP -----------------------------------------------------------------------------------------


def riff(kind: bytes, data: bytes) -> bytes:
    """Return a chunk of a WebP."""
    return kind + struct.pack("<L", len(data)) + data + b"\0" * (len(data) % 2)


def webp(size: tuple[int, int], *parts: bytes, flags: int = 0) -> bytes:
    """Return an extended WebP of chunks."""
    sides = b"".join((side - 1).to_bytes(3, "little") for side in size)
    body = b"WEBP" + riff(b"VP8X", bytes((flags, 0, 0, 0)) + sides) + b"".join(parts)
    return b"RIFF" + struct.pack("<L", len(body)) + body
