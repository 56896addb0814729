"""TIFFs of any layout, written by hand: Pillow writes only few of those that it reads."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np

UNSIGNED, SIGNED, FLOAT = 1, 2, 3
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, CMYK, YCBCR = 0, 1, 2, 5, 6
FORMS = {1: "B", 2: "B", 3: "H", 4: "L", 7: "B"}
Tag = tuple[int, int, tuple[int, ...]]


def tiff(
    samples: np.ndarray[Any, Any],
    photometric: int,
    *,
    order: str = "<",
    planar: bool = False,
    deflate: bool = False,
    rows: int | None = None,
    extra: tuple[int, ...] = (),
    tags: tuple[Tag, ...] = (),
    strips: int | None = None,
) -> bytes:
    """Return a TIFF.

    Args:
        samples: `[H, W]` or `[H, W, S]`, of the type that the file is to have.
        photometric: what they mean.
        order: of bytes, `"<"` or `">"`.
        planar: each sample in a plane of its own.
        deflate: compressed.
        rows: of a strip; all by default.
        extra: what the samples beyond the colours are.
        tags: more of them, `(tag, type, values)`.
        strips: how many of the strips are written; all by default.
    """
    if samples.ndim == 2:
        samples = samples[:, :, None]
    height, width, count = samples.shape
    rows = rows or height
    planes = [samples[:, :, i : i + 1] for i in range(count)] if planar else [samples]
    pieces = [
        plane[top : top + rows].astype(samples.dtype.newbyteorder(order)).tobytes()
        for plane in planes
        for top in range(0, height, rows)
    ][:strips]
    if deflate:
        pieces = [zlib.compress(piece) for piece in pieces]
    form = {"u": UNSIGNED, "i": SIGNED, "f": FLOAT}[samples.dtype.kind]
    places, place = [], 8
    for piece in pieces:
        places.append(place)
        place += len(piece)
    table: list[Tag] = [
        (256, 4, (width,)),
        (257, 4, (height,)),
        (258, 3, (samples.dtype.itemsize * 8,) * count),
        (259, 3, (8 if deflate else 1,)),
        (262, 3, (photometric,)),
        (273, 4, tuple(places)),
        (277, 3, (count,)),
        (278, 4, (rows,)),
        (279, 4, tuple(map(len, pieces))),
        (284, 3, (2 if planar else 1,)),
        (339, 3, (form,) * count),
        *([(338, 3, extra)] if extra else []),
    ]
    given = {tag for tag, _, _ in tags}
    entries = sorted([*(entry for entry in table if entry[0] not in given), *tags])
    return with_table(b"".join(pieces), entries, order)


def with_table(body: bytes, entries: list[Tag], order: str = "<") -> bytes:
    """Return a TIFF whose data, at place 8, is `body`."""
    body += b"\0" * (len(body) % 2)
    start = 8 + len(body)
    end = start + 2 + 12 * len(entries) + 4
    head, tail = struct.pack(order + "H", len(entries)), b""
    for tag, kind, values in entries:
        packed = struct.pack(f"{order}{len(values)}{FORMS[kind]}", *values)
        field = packed.ljust(4, b"\0")
        if len(packed) > 4:
            field = struct.pack(order + "L", end + len(tail))
            tail += packed + b"\0" * (len(packed) % 2)
        head += struct.pack(order + "HHL", tag, kind, len(values)) + field
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return mark + struct.pack(order + "L", start) + body + head + bytes(4) + tail
