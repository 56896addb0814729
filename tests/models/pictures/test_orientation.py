"""One reader of orientation: wherever it is said, in every format, and what is none."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from models.pictures.kinds import FORMATS
from models.pictures.orientation import from_exif, from_xmp, turn_of
from models.pictures.reader import Picture
from tests.picture_files import chunk, encoded, photograph, riff, segment, webp, with_chunk
from tests.tiff_files import RGB, tiff

PICTURE = photograph()
FILES = {kind: encoded(PICTURE, kind) for kind in ("JPEG", "PNG", "WEBP")}
ROTATED = Image.Transpose.ROTATE_270
"""The turn of orientation 6."""


def exif_block(orientation: int, order: str = ">") -> bytes:
    """Return EXIF that says nothing but how a picture is turned."""
    mark = b"MM\0*" if order == ">" else b"II*\0"
    entry = struct.pack(order + "HHLHH", 0x0112, 3, 1, orientation, 0)
    return mark + struct.pack(order + "LH", 8, 1) + entry + bytes(4)


EXIF = exif_block(6)
XMP = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
PROFILE = b"\nexif\n" + b"%8d\n" % len(EXIF) + EXIF.hex().encode() + b"\n"


@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind not in ("GIF", "BMP")])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_of_every_format(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = Picture(encoded(PICTURE, kind, exif=exif.tobytes()))
    image = picture.load()
    turn = turn_of(image)
    upright = image if turn is None else image.transpose(turn)
    assert picture.size == upright.size
    assert picture.size == (PICTURE.size if orientation < 5 else PICTURE.size[::-1])


TURNED = {
    "JPEG, EXIF": FILES["JPEG"][:2] + segment(0xE1, b"Exif\0\0" + EXIF) + FILES["JPEG"][2:],
    "JPEG, XMP": FILES["JPEG"][:2]
    + segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP)
    + FILES["JPEG"][2:],
    "PNG, EXIF": with_chunk(FILES["PNG"], chunk(b"eXIf", EXIF), b"IDAT"),
    "PNG, EXIF behind": with_chunk(FILES["PNG"], chunk(b"eXIf", EXIF), b"IEND"),
    "PNG, EXIF as in JPEG": with_chunk(FILES["PNG"], chunk(b"eXIf", b"Exif\0\0" + EXIF), b"IDAT"),
    "PNG, profile": with_chunk(
        FILES["PNG"], chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(PROFILE)), b"IDAT"
    ),
    "PNG, XMP": with_chunk(
        FILES["PNG"], chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP), b"IDAT"
    ),
    "PNG, packed XMP": with_chunk(
        FILES["PNG"],
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0en\0\0" + zlib.compress(XMP)),
        b"IDAT",
    ),
    "WebP, EXIF": webp(PICTURE.size, FILES["WEBP"][12:], riff(b"EXIF", EXIF), flags=8),
    "WebP, XMP": webp(PICTURE.size, FILES["WEBP"][12:], riff(b"XMP ", XMP), flags=4),
    "TIFF": tiff(np.asarray(PICTURE), RGB, tags=((274, 3, (6,)),)),
    "TIFF, big-endian": tiff(np.asarray(PICTURE), RGB, order=">", tags=((274, 3, (6,)),)),
}


@pytest.mark.parametrize("name", TURNED)
def test_wherever_it_is_said(name: str) -> None:
    picture = Picture(TURNED[name])
    assert turn_of(picture.load()) == ROTATED
    assert picture.size == PICTURE.size[::-1]


def test_exif_goes_before_xmp() -> None:
    both = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP)
    both += segment(0xE1, b"Exif\0\0" + exif_block(3))
    data = FILES["JPEG"][:2] + both + FILES["JPEG"][2:]
    assert turn_of(Picture(data).image) == Image.Transpose.ROTATE_180


@pytest.mark.parametrize("order", ["<", ">"])
def test_what_is_no_orientation(order: str) -> None:
    mark = b"MM\0*" if order == ">" else b"II*\0"

    def block(kind: int, count: int, value: bytes) -> bytes:
        entry = struct.pack(order + "HHL", 0x0112, kind, count) + value
        return mark + struct.pack(order + "LH", 8, 1) + entry

    assert from_exif(exif_block(6, order)) == 6
    assert from_exif(block(2, 2, b"6\0\0\0")) is None, "a text"
    assert from_exif(block(3, 2, struct.pack(order + "HH", 6, 6))) is None, "two of them"
    assert from_exif(block(5, 1, bytes(4))) is None, "a fraction"
    assert from_exif(block(1, 1, b"\6\0\0\0")) == 6
    assert from_exif(block(4, 1, struct.pack(order + "L", 8))) == 8
    for value in (0, 9, 65535):
        assert from_exif(exif_block(value, order)) is None


@settings(max_examples=60, deadline=None, database=None)
@given(st.binary(max_size=80), st.sampled_from([b"", b"MM\0*", b"II*\0", b"Exif\0\0II*\0"]))
def test_exif_of_any_bytes(rest: bytes, mark: bytes) -> None:
    assert from_exif(mark + rest) in (None, *range(1, 9))
    assert from_xmp(mark + rest) is None


def test_pictures_that_pillow_opened_itself() -> None:
    garbage = segment(0xE1, b"Exif\0\0garbage garbage")
    image = Image.open(io.BytesIO(FILES["JPEG"][:2] + garbage + FILES["JPEG"][2:]))
    assert turn_of(image) is None
    assert turn_of(Image.open(io.BytesIO(TURNED["JPEG, EXIF"]))) == ROTATED


def test_a_table_in_bigtiff() -> None:
    plain = tiff(np.asarray(PICTURE), RGB, tags=((274, 3, (8,)),))
    (table,) = struct.unpack_from("<L", plain, 4)
    count = struct.unpack_from("<H", plain, table)[0]
    wide = struct.pack("<Q", count)
    for at in range(table + 2, table + 2 + 12 * count, 12):
        tag, kind, values, value = struct.unpack_from("<HHLL", plain, at)
        size = values * {3: 2, 4: 4}[kind]
        packed = plain[value : value + size] if size > 4 else plain[at + 8 : at + 12]
        if tag == 273:
            packed = struct.pack("<L", 16)
        wide += struct.pack("<HHQ", tag, kind, values) + packed.ljust(8, b"\0")[:8]
    pixels = PICTURE.tobytes()
    data = b"II+\0\x08\0\0\0" + struct.pack("<Q", 16 + len(pixels)) + pixels + wide + bytes(8)
    picture = Picture(data)
    assert picture.load().tobytes() == PICTURE.tobytes()
    assert picture.size == PICTURE.size[::-1]
