"""A corpus of files that are no pictures any more, or never were, with what each deserves."""

from __future__ import annotations

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image

from models.pictures.kinds import FORMATS
from tests.drawings import draw, encode

READ, NO_PICTURE, BROKEN = 200, 415, 422

PICTURE = draw("red ring", 96)
FILES = {fmt: encode(PICTURE, fmt) for fmt in FORMATS if fmt != "HEIF"}
FILES["progressive"] = encode(PICTURE, "JPEG", progressive=True)
FILES["lossless WebP"] = encode(PICTURE, "WEBP", lossless=True)
FILES["LZW"] = encode(PICTURE, "TIFF", compression="tiff_lzw")
FILES["animation"] = encode(PICTURE, "GIF", save_all=True, append_images=[draw("blue bar", 96)])


@dataclass(frozen=True)
class Sample:
    """A file.

    Attributes:
        name: what was done.
        data: its content.
        statuses: what may be answered.
    """

    name: str
    data: bytes
    statuses: tuple[int, ...]


def corpus() -> Iterator[Sample]:
    """Yield every sample; the same each time."""
    yield from truncations()
    yield from bit_flips()
    yield from foreign_files()
    yield from polyglots()
    yield from shapes()
    yield from header_bombs()


def truncations() -> Iterator[Sample]:
    """Every file, cut at every 32nd part of it."""
    for name, data in FILES.items():
        for part in range(32):
            cut = data[: len(data) * part // 32]
            # The second frame of an animation is not needed, nor is what ends some files.
            statuses = (READ, BROKEN) if part >= 16 else (BROKEN,)
            if len(cut) < 32:
                statuses = (NO_PICTURE, BROKEN)
            yield Sample(f"{name} cut at {part}/32", cut, statuses)


def bit_flips() -> Iterator[Sample]:
    """Files with some bits turned over, in the header and anywhere."""
    chance = random.Random(7)
    for name, data in FILES.items():
        for turn in range(48):
            changed = bytearray(data)
            reach = min(len(data), 64) if turn % 2 else len(data)
            for _ in range(1 + turn // 4):
                changed[chance.randrange(reach)] ^= 1 << chance.randrange(8)
            yield Sample(f"{name} flipped {turn}", bytes(changed), (READ, NO_PICTURE, BROKEN))


def _zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("picture.png", FILES["PNG"])
    return buffer.getvalue()


FOREIGN = {
    "zip": _zip(),
    "pdf": b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n",
    "html": b"<!doctype html><html><body><img src=x onerror=alert(1)></body></html>",
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
    "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) (w) file\n%%EOF\n",
}


def foreign_files() -> Iterator[Sample]:
    """What is no picture, and pictures of kinds that are not read."""
    yield Sample("nothing", b"", (BROKEN,))
    for size in (1, 100, 100_000):
        yield Sample(f"{size} zeros", bytes(size), (NO_PICTURE,))
    for name, data in FOREIGN.items():
        yield Sample(name, data, (NO_PICTURE,))
    # Pillow has plugins for these. None of them may be reached.
    for fmt in ("ICO", "ICNS", "PPM", "TGA", "SGI", "PCX", "DDS", "JPEG2000", "EPS", "IM", "PDF"):
        if fmt in Image.SAVE:
            yield Sample(fmt, encode(PICTURE.resize((64, 64)), fmt), (NO_PICTURE,))
    yield Sample("PSD", b"8BPS\0\1" + bytes(200), (NO_PICTURE,))
    yield Sample("FITS", b"SIMPLE  =                    T" + b" " * 3000, (NO_PICTURE,))
    yield Sample(
        "XBM", b"#define x_width 8\n#define x_height 8\nstatic char b[]={0};", (NO_PICTURE,)
    )
    for name, data in FILES.items():
        yield Sample(f"{name} with no magic", b"\0\0\0\0" + data[4:], (NO_PICTURE, BROKEN))
        yield Sample(f"{name} behind a blank", b" " + data, (NO_PICTURE,))


def polyglots() -> Iterator[Sample]:
    """Files of two kinds. What they begin as is what they are."""
    for name, data in FILES.items():
        for other, foreign in FOREIGN.items():
            yield Sample(f"{name} and {other}", data + foreign, (READ,))
            yield Sample(f"{other} and {name}", foreign + data, (NO_PICTURE,))
    for first, one in FILES.items():
        for second, two in FILES.items():
            yield Sample(f"{first} with {second}'s middle", one[:20] + two[20:], (READ, BROKEN))


def shapes() -> Iterator[Sample]:
    """Pictures that are very small or very long."""
    for size in ((1, 1), (1, 2), (1, 20_000), (20_000, 1)):
        for fmt in ("PNG", "JPEG", "GIF", "BMP", "TIFF"):
            yield Sample(f"{fmt} {size}", encode(Image.new("RGB", size, "red"), fmt), (READ,))


def header_bombs(side: int = 20_000) -> Iterator[Sample]:
    """Small files that say they have `side` x `side` pixels.

    Each is refused for its size, but for the AVIF, whose parts contradict each other.
    """
    big, little = struct.pack(">LL", side, side), struct.pack("<LL", side, side)
    png = bytearray(encode(Image.new("L", (1, 1))))
    png[16:24] = big
    png[29:33] = struct.pack(">L", zlib.crc32(bytes(png[12:29])))
    yield Sample("PNG bomb", bytes(png), (BROKEN,))
    gif = bytearray(FILES["GIF"])
    gif[6:10] = struct.pack("<HH", side, side)
    yield Sample("GIF bomb", bytes(gif), (BROKEN,))
    bmp = bytearray(FILES["BMP"])
    bmp[18:26] = little
    yield Sample("BMP bomb", bytes(bmp), (BROKEN,))
    jpeg = bytearray(FILES["JPEG"])
    frame = jpeg.index(b"\xff\xc0")
    jpeg[frame + 5 : frame + 9] = struct.pack(">HH", side, side)
    yield Sample("JPEG bomb", bytes(jpeg), (BROKEN,))
    tiff = bytearray(FILES["LZW"])
    (place,) = struct.unpack_from("<L", tiff, 4)
    for entry in range(place + 2, place + 2 + 12 * tiff[place], 12):
        if struct.unpack_from("<H", tiff, entry)[0] in (256, 257):
            struct.pack_into("<HLL", tiff, entry + 2, 4, 1, side)
    yield Sample("TIFF bomb", bytes(tiff), (BROKEN,))
    if "WEBP" in FILES:
        extended = b"VP8X" + struct.pack("<LL", 10, 0)
        extended += (16_383).to_bytes(3, "little") * 2 + FILES["WEBP"][12:]
        webp = b"RIFF" + struct.pack("<L", 4 + len(extended)) + b"WEBP" + extended
        yield Sample("WebP bomb", webp, (BROKEN,))
    if "AVIF" in FILES:
        avif = bytearray(FILES["AVIF"])
        extent = avif.index(b"ispe") + 8
        avif[extent : extent + 8] = big
        yield Sample("AVIF bomb", bytes(avif), (BROKEN,))
    long = bytearray(png)
    long[16:24] = struct.pack(">LL", 0x7FFFFFFF, 0x7FFFFFFF)
    long[29:33] = struct.pack(">L", zlib.crc32(bytes(long[12:29])))
    yield Sample("PNG of the largest numbers", bytes(long), (BROKEN,))
