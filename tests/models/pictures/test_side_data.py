"""Side data never decides about pixels, whatever is in it; only how a picture is turned is kept."""

from __future__ import annotations

import io
import os
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from models.pictures.kinds import FORMATS
from models.pictures.reader import Picture
from tests.picture_files import (
    chunk,
    chunks,
    encoded,
    photograph,
    riff,
    segment,
    webp,
    with_chunk,
)
from tests.tiff_files import RGB, tiff

PICTURE = photograph()
FILES = {kind: encoded(PICTURE, kind) for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")}
properties = settings(max_examples=60, deadline=None, database=None)


def exif_block(orientation: int, order: str = ">") -> bytes:
    """Return EXIF that says nothing but how a picture is turned."""
    mark = b"MM\0*" if order == ">" else b"II*\0"
    entry = struct.pack(order + "HHLHH", 0x0112, 3, 1, orientation, 0)
    return mark + struct.pack(order + "LH", 8, 1) + entry + bytes(4)


EXIF = exif_block(6)
XMP = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
PROFILE = b"\nexif\n" + b"%8d\n" % len(EXIF) + EXIF.hex().encode() + b"\n"


def same_pixels(data: bytes, kind: str) -> bool:
    expected = Image.open(_file(FILES[kind])).convert("RGB").tobytes()
    return Picture(data).load().convert("RGB").tobytes() == expected


def _file(data: bytes) -> io.BytesIO:
    return io.BytesIO(data)


# --- PNG ------------------------------------------------------------------------------------------

SWOLLEN = zlib.compress(b"x" * 2_000_000)
PNG_CHUNKS = {
    "text": chunk(b"tEXt", b"parameters\0" + b"x" * 2_000_000),
    "packed text": chunk(b"zTXt", b"parameters\0\0" + SWOLLEN),
    "workflow": chunk(b"iTXt", b"workflow\0\1\0\0\0" + SWOLLEN),
    "packed XMP": chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + SWOLLEN),
    "printer's profile": chunk(b"iCCP", b"p\0\0" + zlib.compress(os.urandom(2_000_000))),
    "profile that is none": chunk(b"iCCP", b"p"),
    "no text": chunk(b"tEXt"),
    "text of no encoding": chunk(b"iTXt", b"a\0\0\0\xff\xfe\0\xff\0\xff"),
    "a hundred texts": chunk(b"zTXt", b"p\0\0" + SWOLLEN) * 100,
    "short gamma": chunk(b"gAMA", b"\0"),
    "short chromaticity": chunk(b"cHRM", b"\0\0"),
    "short density": chunk(b"pHYs", b"\0"),
    "empty rendering": chunk(b"sRGB"),
    "short EXIF": chunk(b"eXIf", b"Exif\0\0MM"),
    "no EXIF": chunk(b"eXIf", b"http://ns.adobe.com/xap/1.0/"),
    "animation of nothing": chunk(b"acTL", bytes(8)),
    "short animation": chunk(b"acTL", b"\0") + chunk(b"fcTL", b"\0"),
    "unknown": chunk(b"abCd", b"?" * 100),
    "unknown and said to be needed": chunk(b"ABCD", b"?" * 100),
    "suggested palette": chunk(b"PLTE", b"\1\2\3\4"),
    "transparency that does not fit": chunk(b"tRNS", b"\0"),
    "checksums wrong": b"".join(
        chunk(kind, b"\0" * 9, sound=False)
        for kind in (b"tEXt", b"gAMA", b"iCCP", b"eXIf", b"tRNS", b"pHYs", b"tIME", b"abCd")
    ),
}


@pytest.mark.parametrize("before", [b"IDAT", b"IEND"])
@pytest.mark.parametrize("name", PNG_CHUNKS)
def test_png_chunks(name: str, before: bytes) -> None:
    assert same_pixels(with_chunk(FILES["PNG"], PNG_CHUNKS[name], before), "PNG")


SIDE_CHUNKS = [
    kind.encode()
    for kind in "tEXt zTXt iTXt iCCP eXIf tRNS gAMA cHRM acTL fcTL fdAT PLTE sBIT bKGD quUx".split()
]


@properties
@given(
    st.lists(
        st.tuples(
            st.sampled_from(SIDE_CHUNKS),
            st.binary(max_size=60),
            st.booleans(),
            st.sampled_from([b"IDAT", b"IEND"]),
        ),
        max_size=6,
    )
)
def test_any_png_chunk(extra: list[tuple[bytes, bytes, bool, bytes]]) -> None:
    data = FILES["PNG"]
    for kind, body, sound, before in extra:
        if kind != b"tRNS" or not sound or len(body) != 6:  # that would be transparency
            data = with_chunk(data, chunk(kind, body, sound=sound), before)
    assert same_pixels(data, "PNG")


def test_png_without_its_end() -> None:
    assert same_pixels(FILES["PNG"][:-12], "PNG")
    assert same_pixels(FILES["PNG"][:-12] + b"\0" * 5000, "PNG")


def test_png_in_many_pieces() -> None:
    data = b"".join(body for kind, body in chunks(FILES["PNG"]) if kind == b"IDAT")[8:-4]
    pieces = b"".join(
        chunk(b"IDAT", data[at : at + 10]) + chunk(b"teXt") for at in range(0, len(data), 10)
    )
    assert same_pixels(FILES["PNG"][:33] + pieces + chunk(b"IEND"), "PNG")


@pytest.mark.parametrize("mode", ["P", "L", "RGB"])
def test_transparency_is_no_side_data(mode: str) -> None:
    image = PICTURE.convert(mode)
    key = (0, 0, 40) if mode == "RGB" else 0
    data = encoded(image, "PNG", transparency=key)
    expected = Image.open(_file(data)).convert("RGBA").tobytes()
    assert b"tRNS" in data
    image = Picture(with_chunk(data, PNG_CHUNKS["text"], b"tRNS")).load()
    assert image.convert("RGBA").tobytes() == expected


def test_a_damaged_transparency_is_none() -> None:
    data = encoded(PICTURE.convert("P"), "PNG")
    broken = with_chunk(data, chunk(b"tRNS", bytes(200), sound=False), b"IDAT")
    assert Picture(broken).load().info.get("transparency") is None


# --- the other formats ----------------------------------------------------------------------------

SEGMENTS = {
    "short JFIF": segment(0xE0, b"JFIF"),
    "short Adobe": segment(0xEE, b"Adobe"),
    "short profile": segment(0xE2, b"ICC_PROFILE\0"),
    "profile": segment(0xE2, b"ICC_PROFILE\0\1\1" + b"?" * 60_000),
    "broken list of pictures": segment(0xE2, b"MPF\0II*\0\x08\0\0\0\xff\xff"),
    "list of pictures that are not there": encoded(
        PICTURE, "MPO", save_all=True, append_images=[PICTURE]
    )[2:200],
    "Photoshop": segment(0xED, b"Photoshop 3.0\x008BIM\x03\xed\0"),
    "resolution cut short": segment(0xED, b"Photoshop 3.0\x008BIM\x03\xed\0\0\0\0\0\2\0\0"),
    "garbage for EXIF": segment(0xE1, b"Exif\0\0garbage garbage"),
    "EXIF without a table": segment(0xE1, b"Exif\0\0MM\0*\0\0\xff\x08\xff\xff"),
    "EXIF with too long a table": segment(0xE1, b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"),
    "XMP": segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0\xff\xfe"),
    "FlashPix": segment(0xE2, b"FPXR\0"),
    "comment": segment(0xFE, b"\xff\xd8\xff\xda" * 100),
    "empty": segment(0xEF, b""),
    "padding": b"\xff" * 300,
}


@pytest.mark.parametrize("name", SEGMENTS)
def test_jpeg_segments(name: str) -> None:
    extra = SEGMENTS[name]
    if name.startswith("list"):
        extra = extra[extra.index(b"\xff\xe2") :]
        extra = extra[: 2 + struct.unpack_from(">H", extra, 2)[0]]
    data = FILES["JPEG"]
    assert same_pixels(data[:2] + extra + data[2:], "JPEG")
    before_scan = data.index(b"\xff\xda")
    assert same_pixels(data[:before_scan] + extra + data[before_scan:], "JPEG")


@properties
@given(st.lists(st.tuples(st.integers(0xE0, 0xFE), st.binary(max_size=80)), max_size=6))
def test_any_jpeg_segment(extra: list[tuple[int, bytes]]) -> None:
    added = b"".join(
        segment(marker, body) for marker, body in extra if not body.startswith(b"Adobe")
    )
    data = FILES["JPEG"]
    place = 2 + 2 + struct.unpack_from(">H", data, 4)[0]  # behind JFIF
    assert same_pixels(data[:place] + added + data[place:], "JPEG")


def test_jpeg_colours_are_no_side_data() -> None:
    for mode, options in (("CMYK", {}), ("RGB", {"keep_rgb": True}), ("L", {})):
        data = encoded(PICTURE.convert(mode), "JPEG", **options)
        expected = Image.open(_file(data)).tobytes()
        turned = data[:2] + segment(0xE1, b"Exif\0\0" + EXIF) + data[2:]
        assert Picture(turned).load().tobytes() == expected


@pytest.mark.skipif("WEBP" not in FORMATS, reason="this Pillow reads no WebP")
def test_webp_chunks() -> None:
    pixels = FILES["WEBP"][12:]
    for extra in (
        riff(b"EXIF", b"Exif\0\0http://ns.adobe.com/xap/1.0/"),
        riff(b"EXIF", b""),
        riff(b"XMP ", b"\xff\xfe"),
        riff(b"ABCD", b"?" * 99),
        riff(b"EXIF", EXIF)[:-5],
        b"EXIF\xff\xff\xff\xff",
    ):
        assert same_pixels(webp(PICTURE.size, pixels, extra, flags=0x0C), "WEBP")
        assert same_pixels(webp(PICTURE.size, pixels, extra, flags=0), "WEBP")
    assert same_pixels(webp(PICTURE.size, riff(b"ICCP", b"?"), pixels, flags=0x20), "WEBP")
    wrong_size = bytearray(FILES["WEBP"] + b"junk" * 10)
    wrong_size[4:8] = struct.pack("<L", len(wrong_size) + 1000)
    assert same_pixels(bytes(wrong_size), "WEBP")


@pytest.mark.skipif("WEBP" not in FORMATS, reason="this Pillow reads no WebP")
def test_webp_transparency_and_first_frame() -> None:
    image = PICTURE.copy()
    image.putalpha(Image.linear_gradient("L").resize(PICTURE.size))
    for options in ({}, {"lossless": True}, {"save_all": True, "append_images": [PICTURE]}):
        data = encoded(image, "WEBP", **options)
        expected = Image.open(_file(data)).convert("RGBA").tobytes()
        assert Picture(data).load().convert("RGBA").tobytes() == expected
    # What a later frame lacks is not missed.
    assert Picture(data[:-200]).load().convert("RGBA").tobytes() == expected


def gif_with(extra: bytes) -> bytes:
    data = FILES["GIF"]
    place = 13 + (3 << (data[10] & 7) + 1)
    return data[:place] + extra + data[place:]


def test_gif_extensions() -> None:
    for extra in (
        b"!\xfe\x05hello\0",
        b"!\xf9\x01\x01\0",
        b"!\xf9\0",
        b"!\xff\x0bNETSCAPE2.0\0",
        b"!\xff\x0bNETSCAPE2.0\x01\x01\0",
        b"!\xff\x0bXMP DataXMP" + b"\x04?xml\0",
        b"\0" * 20,
    ):
        assert same_pixels(gif_with(extra), "GIF"), extra


def test_gif_transparency_is_no_side_data() -> None:
    data = encoded(PICTURE.quantize(16), "GIF", transparency=3)
    expected = Image.open(_file(data)).info["transparency"]
    assert Picture(data).load().info["transparency"] == expected


def test_tiff_tags() -> None:
    rgb = np.asarray(PICTURE)
    bad = (
        (34665, 4, (0xFFFFFF,)),  # EXIF, behind the end
        (34853, 4, (9,)),  # GPS, in the pixels
        (330, 4, (12,)),  # more directories
        (700, 1, tuple(b"<xmp")),
        (34675, 7, tuple(b"no profile")),
        (270, 2, tuple(b"text without an end")),
        (33723, 4, (1, 2, 3)),
        (34377, 1, (0,)),
    )
    for order in "<>":
        picture = Picture(tiff(rgb, RGB, order=order, tags=bad))
        assert picture.load().tobytes() == PICTURE.tobytes()
        assert picture.size == PICTURE.size


def test_tiff_of_many_pages_is_its_first() -> None:
    data = encoded(PICTURE, "TIFF", save_all=True, append_images=[PICTURE.rotate(180)])
    (table,) = struct.unpack_from("<L", data, 4)
    following = table + 2 + 12 * struct.unpack_from("<H", data, table)[0]
    broken = data[:following] + struct.pack("<L", len(data) + 99) + data[following + 4 :]
    for file in (data, broken):
        assert Picture(file).load().tobytes() == PICTURE.tobytes()


@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
def test_exif_in_a_container(kind: str) -> None:
    if kind not in FORMATS:
        pytest.skip(f"{kind} is not read here")
    exif = Image.Exif()
    exif[0x010E] = "a description"
    # HEIC takes the turn from XMP when it is written, and says so by itself.
    xmp = XMP if kind == "AVIF" else b"<x:xmpmeta/>"
    data = encoded(PICTURE, kind, exif=exif.tobytes(), xmp=xmp)
    expected = Picture(data).load().tobytes()
    place = data.index(b"a description")
    start = max(
        data.rindex(mark, 0, place) for mark in (b"MM\0*", b"II*\0") if mark in data[:place]
    )
    damaged = data[:start] + b"garbage?" + data[start + 8 :]
    picture = Picture(damaged)
    assert picture.load().tobytes() == expected
    assert picture.size == PICTURE.size  # what XMP says of a turn is not asked
