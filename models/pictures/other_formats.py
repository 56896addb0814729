"""WebP, GIF, AVIF and HEIC: what of a file its pixels need.

That pixels are missing these decoders say by themselves. A BMP has no side data.
"""

from __future__ import annotations

import re
import struct

from models.pictures import orientation

_RIFF_HEAD, _CHUNK_HEAD = 12, 8
_KEPT_FLAGS = 0x12
"""Of a WebP's header: it has transparency, it is animated."""

_GIF_HEAD = 13
_CONTROL = 0xF9

# Pictures in ISO's base media format list their parts; EXIF and XMP are parts with a type.
_SIDE_ITEM = re.compile(rb"(infe(?:\x02.{3}.{2}|\x03.{3}.{4}).{2})(?:Exif|mime)", re.DOTALL)
_NO_ITEM = rb"\1none"


def without_webp_side_data(data: bytes) -> tuple[bytes, int]:
    """Return a WebP's first picture alone, and its orientation."""
    if not data.startswith(b"RIFF"):
        return data, orientation.UPRIGHT
    kept: list[bytes] = []
    exif: int | None = None
    xmp: int | None = None
    place, claimed, frames = _RIFF_HEAD, 4, 0
    while place + _CHUNK_HEAD <= len(data):
        kind = data[place : place + 4]
        (length,) = struct.unpack_from("<L", data, place + 4)
        end = place + _CHUNK_HEAD + length + length % 2
        chunk = data[place:end]
        if kind == b"VP8X" and not kept and len(chunk) > _CHUNK_HEAD:
            flags = chunk[_CHUNK_HEAD] & _KEPT_FLAGS
            chunk = chunk[:_CHUNK_HEAD] + bytes([flags]) + chunk[_CHUNK_HEAD + 1 :]
            wanted = True
        else:
            frames += kind == b"ANMF"
            wanted = kind in (b"VP8 ", b"VP8L", b"ALPH", b"ANIM") or (kind, frames) == (b"ANMF", 1)
        if wanted:
            kept.append(chunk)
            claimed += end - place
        elif kind == b"EXIF":
            exif = exif or orientation.from_exif(chunk[_CHUNK_HEAD:])
        elif kind == b"XMP ":
            xmp = xmp or orientation.from_xmp(chunk[_CHUNK_HEAD:])
        place = end
    head = b"RIFF" + struct.pack("<L", claimed & 0xFFFFFFFF) + b"WEBP"
    return head + b"".join(kept), exif or xmp or orientation.UPRIGHT


def without_gif_side_data(data: bytes) -> bytes:
    """Return a GIF without comments, extensions and junk before its first picture."""
    if len(data) < _GIF_HEAD:
        return data
    place = _GIF_HEAD + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    kept = data[:place]
    while place < len(data) and data[place] != ord(","):
        if data[place] == ord(";"):
            return data
        if data[place] != ord("!"):
            place += 1
            continue
        start, place = place, place + 2
        while place < len(data) and data[place]:
            place += 1 + data[place]
        place += 1
        # Transparency, if it is whole. The last one counts.
        if data[start + 1 : start + 3] == bytes((_CONTROL, 4)) and place - start == 8:
            kept += data[start:place]
    return kept + data[place:]


def without_side_items(data: bytes) -> bytes:
    """Return an AVIF or HEIC picture in which nobody looks for EXIF or XMP.

    How it has to be turned is said elsewhere in it.
    """
    return _SIDE_ITEM.sub(_NO_ITEM, data)
