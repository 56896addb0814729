"""Files made to cost more than their pixels are refused early; real ones pass."""

from __future__ import annotations

import re
import struct
import zlib

import pytest
from PIL import Image

from models.api.preprocessing import PreprocessSpec
from models.pictures.header_guard import (
    MOST_PADDING,
    MOST_PARTS,
    MOST_STRIPS,
    check_header,
    check_scans,
)
from serving.base.problems import Problem
from serving.pictures.images import decode
from serving.pictures.open_picture import OpenPicture
from tests.drawings import draw, encode

PICTURE = draw("red ring", 64)
# Pillow warns of damaged metadata.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

SPEC = PreprocessSpec(height=32, width=32)
JPEG, PNG, GIF = (encode(PICTURE, fmt) for fmt in ("JPEG", "PNG", "GIF"))
GIF_BLOCKS = 13 + (3 << ((GIF[10] & 7) + 1))
LIMIT = 50_000_000


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def in_jpeg(middle: bytes) -> bytes:
    return JPEG[:2] + middle + JPEG[2:]


def in_png(middle: bytes) -> bytes:
    return PNG[:33] + middle + PNG[33:]


def in_gif(middle: bytes) -> bytes:
    return GIF[:GIF_BLOCKS] + middle + GIF[GIF_BLOCKS:]


def strips(count: int, order: str = "<", wide: bool = False) -> bytes:
    """Return a TIFF one pixel wide with one strip a row, all of them the same byte."""
    tags = [(256, 3, 1, 1), (257, 4, 1, count), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    tags += [(273, 3, count, -1), (277, 3, 1, 1), (278, 3, 1, 1), (279, 3, count, -1)]
    head = struct.pack("<2s3HQQ", b"II", 43, 8, 0, 16, len(tags)) if wide else b""
    mark = b"II" if order == "<" else b"MM"
    head = head or mark + struct.pack(order + "HLH", 42, 8, len(tags))
    entry = order + ("HHQQ" if wide else "HHLL")
    end = bytes(8 if wide else 4)
    at = len(head) + len(tags) * struct.calcsize(entry) + len(end)
    for tag, kind, length, value in tags:
        # A big-endian short stands first in its place.
        short = value << 16 if order == ">" and kind == 3 else value
        head += struct.pack(entry, tag, kind, length, at if value < 0 else short)
    return head + end + struct.pack(order + "H", 1) * count


MANY = MOST_PARTS + 10
BOMBS = {
    "JPEG segments": in_jpeg(b"\xff\xe1\x00\x02" * MANY),
    "JPEG comments": in_jpeg(b"\xff\xfe\x00\x02" * MANY),
    "JPEG fill bytes": in_jpeg(b"\xff" * 2_000_000),
    "JPEG junk": in_jpeg(b"\xff\xe1\x00\x02" + b"\x00" * 2_000_000),
    "JPEG escapes": in_jpeg(b"\xff\x00" * 2_000_000),
    "PNG chunks": in_png(chunk(b"abCd") * MANY),
    "PNG texts": in_png(chunk(b"tEXt", b"a\0b") * MANY),
    "PNG empty data": in_png(chunk(b"IDAT") * MANY),
    "PNG chunks at the end": PNG[:-12] + chunk(b"abCd") * MANY + PNG[-12:],
    "GIF blocks a byte long": in_gif(b"\x21\xfe" + b"\x01a" * MANY + b"\x00"),
    "GIF extensions": in_gif(b"\x21\xf9\x04\0\0\0\0\0" * MANY),
    "GIF junk": in_gif(b"\x00" * 2_000_000),
    "JPEG that is nothing but padding": b"\xff\xd8\xff" + bytes(2_000_000),
    "JPEG with padding at its end": in_jpeg(b"\xff\xe1\x00\x02")[:6] + bytes(2_000_000),
    "TIFF of strips": strips(MOST_STRIPS + 1),
    "TIFF of strips, big-endian": strips(MOST_STRIPS + 1, ">"),
    "TIFF of strips, wide": strips(MOST_STRIPS + 1, wide=True),
}


@pytest.mark.parametrize("name", BOMBS)
def test_headers_that_no_file_has(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("Pillow was asked"))
    with pytest.raises(Problem) as error:
        decode(BOMBS[name], SPEC, LIMIT)
    assert (error.value.type_slug, error.value.status) == ("broken-image", 422)
    assert "header" in error.value.detail


GOOD = {
    "JPEG with much metadata": in_jpeg((b"\xff\xe2\xff\xfd" + b"x" * 65_531) * 300),
    "JPEG with some padding": in_jpeg(b"\xff" * 1000 + b"\xff\xfe\x00\x04ab"),
    "JPEG with a thumbnail": in_jpeg(b"\xff\xe1%s" % (len(JPEG) + 2).to_bytes(2, "big") + JPEG),
    "PNG in small pieces": in_png(chunk(b"tEXt", b"a\0b") * 5000),
    "GIF with a long comment": in_gif(b"\x21\xfe" + (b"\xff" + b"x" * 255) * 10_000 + b"\x00"),
    "progressive JPEG": encode(PICTURE, "JPEG", progressive=True),
    "TIFF in one strip": encode(PICTURE, "TIFF"),
}


@pytest.mark.parametrize("name", GOOD)
def test_unusual_but_real_files(name: str) -> None:
    assert decode(GOOD[name], SPEC, LIMIT)[1].width == 64


def with_scans(count: int, size: tuple[int, int], **options: object) -> bytes:
    """Return a JPEG whose last scan is there `count` times more."""
    data = encode(PICTURE.resize(size), "JPEG", **options)
    starts = [found.start() for found in re.finditer(b"\xff\xda", data)]
    return data[:-2] + data[starts[-1] : -2] * count + data[-2:]


def test_scans_are_counted_where_there_are_several() -> None:
    assert check_scans(JPEG, 64, 64, LIMIT) == 1
    assert check_scans(encode(PICTURE.convert("L"), "JPEG"), 64, 64, LIMIT) == 1
    assert check_scans(encode(PICTURE, "JPEG", progressive=True), 64, 64, LIMIT) == 10
    assert check_scans(with_scans(5, (64, 64), progressive=True), 64, 64, LIMIT) == 15
    # More scans after one that holds everything are not looked at, by the decoder neither.
    assert check_scans(with_scans(5, (64, 64)), 64, 64, LIMIT) == 1


def test_too_many_scans_for_the_size() -> None:
    data = with_scans(300, (64, 64), progressive=True)
    assert decode(data, SPEC, 64 * 64 * 16)[1].width == 64
    with pytest.raises(Problem, match="310 scans") as error:
        decode(data, SPEC, 64 * 64 * 15)
    assert error.value.type_slug == "broken-image"


def test_a_progressive_jpeg_is_counted_with_its_coefficients() -> None:
    size, spec = (1600, 1200), PreprocessSpec(height=64, width=64)
    plain = OpenPicture(encode(PICTURE.resize(size), "JPEG"), spec, LIMIT)
    progressive = OpenPicture(encode(PICTURE.resize(size), "JPEG", progressive=True), spec, LIMIT)
    assert plain.bytes_needed == 200 * 150 * 5, "it is decoded at an eighth"
    assert progressive.bytes_needed == plain.bytes_needed + 1600 * 1200 * 6


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff", PNG[:9], GIF[:7], b"GIF89a" + b"\xff" * 5])
def test_headers_that_break_off(data: bytes) -> None:
    check_header(data)


def test_text_that_swells() -> None:
    """Compressed texts and profiles in a PNG are not unpacked: they decide and cost nothing."""
    bomb = zlib.compress(b"x" * 50_000_000)
    before = _peak()
    for kind, head in ((b"zTXt", b"a\0\0"), (b"iTXt", b"a\0\1\0\0\0"), (b"iCCP", b"a\0\0")):
        assert decode(in_png(chunk(kind, head + bomb)), SPEC, LIMIT)[1].width == 64
    assert _peak() - before < 20_000_000


def test_a_directory_whose_tags_all_point_at_one_large_place() -> None:
    """A TIFF, and EXIF in a PNG: each of many tags would hold the whole file."""
    filler = b"\x01" * 1_000_000
    tags = b"".join(struct.pack("<HHLL", 50_000 + tag, 7, 900_000, 16) for tag in range(2000))
    exif = b"II*\x00" + struct.pack("<L", 8 + len(filler)) + filler
    exif += struct.pack("<H", 2000) + tags + b"\0\0\0\0"
    before = _peak()
    assert decode(in_png(chunk(b"eXIf", exif)), SPEC, LIMIT)[1].width == 64
    with pytest.raises(Problem):
        decode(exif, SPEC, LIMIT)
    assert _peak() - before < 100_000_000


def _peak() -> int:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def tiff(*tags: tuple[int, int | str]) -> bytes:
    """Return a little-endian TIFF with tags of one number each, then compressed zeros."""
    at = 8 + 2 + 12 * len(tags) + 4
    body = zlib.compress(bytes(64 * 64))
    values = {"here": at, "size": len(body)}
    entries = b"".join(
        struct.pack("<HHLL", tag, 4, 1, values.get(value, value)) for tag, value in tags
    )
    return b"II*\x00\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4) + body


@pytest.mark.parametrize("side", [64, 4096, 65_520])
def test_a_tile_far_larger_than_its_picture(side: int) -> None:
    """A TIFF of few pixels whose tiles are said to have billions."""
    shape = [(256, 64), (257, 64), (258, 8), (259, 8), (262, 1), (277, 1)]
    data = tiff(*shape, (322, side), (323, side), (324, "here"), (325, "size"))
    before = _peak()
    if side == 64:
        assert decode(data, SPEC, LIMIT)[1].width == 64
    else:
        with pytest.raises(Problem):
            decode(data, SPEC, LIMIT)
    assert _peak() - before < 100_000_000


def test_the_limits_are_where_they_are_said_to_be() -> None:
    check_header(in_jpeg(b"\xff\xe1\x00\x02" * (MOST_PARTS - 20)))
    check_header(in_jpeg(b"\xff" * (MOST_PADDING - 10)))
    check_header(in_png(chunk(b"abCd") * (MOST_PARTS - 20)))
    check_header(b"\xff\xd8\xff" + bytes(MOST_PADDING - 10))


@pytest.mark.parametrize("kind", ["<", ">", "wide"])
def test_a_scan_written_row_by_row(kind: str) -> None:
    data = strips(3000, wide=True) if kind == "wide" else strips(3000, kind)
    assert decode(data, SPEC, LIMIT)[1].height == 3000
