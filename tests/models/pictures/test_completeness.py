"""Refused where pixels are missing, and only there: an end marker alone says nothing."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from models.pictures.kinds import FORMATS, PictureError
from models.pictures.reader import Picture
from tests.picture_files import (
    EOI,
    cuts,
    encoded,
    interlaced_png,
    photograph,
    png,
    scan_starts,
    segment,
    separate_scans,
)
from tests.tiff_files import BLACK_IS_ZERO, RGB, tiff

PICTURE = photograph(200, 144)
NOISE = Image.effect_noise((200, 144), 60).convert("RGB")

JPEGS: dict[str, bytes] = {
    "plain": encoded(PICTURE, "JPEG"),
    "noise": encoded(NOISE, "JPEG", quality=90),
    "best": encoded(PICTURE, "JPEG", quality=100, subsampling=0),
    "worst": encoded(PICTURE, "JPEG", quality=5),
    "optimised": encoded(PICTURE, "JPEG", optimize=True),
    "grey": encoded(PICTURE.convert("L"), "JPEG"),
    "CMYK": encoded(PICTURE.convert("CMYK"), "JPEG"),
    "RGB": encoded(PICTURE, "JPEG", keep_rgb=True),
    "restarts": encoded(PICTURE, "JPEG", restart_marker_blocks=5),
    "restarts in rows": encoded(PICTURE, "JPEG", restart_marker_rows=1),
    "narrow": encoded(PICTURE.resize((9, 400)), "JPEG"),
    "progressive": encoded(PICTURE, "JPEG", progressive=True),
    "progressive, best": encoded(PICTURE, "JPEG", progressive=True, quality=100),
    "progressive, grey": encoded(PICTURE.convert("L"), "JPEG", progressive=True),
    "progressive noise": encoded(NOISE, "JPEG", progressive=True, quality=90),
    "progressive, restarts": encoded(PICTURE, "JPEG", progressive=True, restart_marker_blocks=7),
    "separate scans": separate_scans(PICTURE),
}
SEVERAL_SCANS = [name for name in JPEGS if name.startswith(("progressive", "separate"))]


def pixels(data: bytes) -> bytes:
    return Picture(data).load().tobytes()


def pillows(data: bytes) -> bytes:
    return Image.open(io.BytesIO(data)).tobytes()


def refused(data: bytes) -> bool:
    try:
        Picture(data).load()
    except PictureError as error:
        assert error.refusal == "broken"
        return True
    return False


# --- JPEG -----------------------------------------------------------------------------------------

ENDINGS = {
    "nothing": b"",
    "half of the marker": b"\xff",
    "padding": b"\xff" * 64,
    "zeros": bytes(64),
    "many zeros": bytes(100_000),
    "padding and zeros": b"\xff" * 64 + bytes(64),
    "a trailer": b"MotionPhoto_Data" + bytes(2000),
    "a trailer with markers": b"SEFH\xff\x01\xff\xc0\xff\xd8 and more",
    "the marker, and a trailer": EOI + b"\xff\xd8\xff\xe1 another" + bytes(500),
    "a comment, and the marker": segment(0xFE, b"hello") + EOI,
}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("name", JPEGS)
def test_a_jpeg_that_lacks_nothing_but_its_end(name: str, ending: str) -> None:
    assert pixels(JPEGS[name][:-2] + ENDINGS[ending]) == pillows(JPEGS[name])


@pytest.mark.parametrize("ending", [b"", EOI, bytes(50_000), b"\xff" * 64])
@pytest.mark.parametrize("name", JPEGS)
def test_a_jpeg_that_lacks_pixels(name: str, ending: bytes) -> None:
    for data in cuts(JPEGS[name], (0.0, 0.1, 0.3, 0.5)):
        assert refused(data + ending), len(data) / len(JPEGS[name])


@pytest.mark.parametrize("name", [name for name in JPEGS if name not in SEVERAL_SCANS])
def test_a_jpeg_that_lacks_a_little(name: str) -> None:
    for data in cuts(JPEGS[name], (0.8, 0.9)):
        assert refused(data + EOI)
        assert refused(data)


@pytest.mark.parametrize("name", SEVERAL_SCANS)
def test_every_scan_is_needed(name: str) -> None:
    data = JPEGS[name]
    for start in scan_starts(data)[1:]:
        assert refused(data[:start] + EOI), "a scan is missing"
        assert refused(data[:start])
    assert refused(data[:-2][:-30]), "without a marker the last scan has to be whole as well"


@pytest.mark.parametrize("name", ["noise", "best", "CMYK", "RGB"])
def test_a_jpeg_with_a_hole(name: str) -> None:
    """What was copied while it was still being written has the right length."""
    data = JPEGS[name]
    for first, last in ((0.3, 0.6), (0.5, 1.0)):
        start, end = (int(len(data) * share) for share in (first, last))
        hole = data[:start] + bytes(end - start) + data[end:]
        assert refused(hole)
        assert refused(hole[:-2] + EOI)


def test_zeros_that_are_a_picture() -> None:
    image = Image.new("RGB", (1200, 1200), "white")
    image.paste(PICTURE)
    for options in ({"optimize": True}, {"progressive": True}):
        data = encoded(image, "JPEG", **options)
        assert pixels(data) == pillows(data)
    assert bytes(1024) in encoded(image, "JPEG", optimize=True)


def test_a_component_is_missing() -> None:
    for scans in (1, 2):
        assert refused(separate_scans(PICTURE, scans))


def test_a_picture_that_is_said_to_be_higher() -> None:
    data = bytearray(JPEGS["plain"])
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 7] = struct.pack(">H", 600)
    assert refused(bytes(data))


def grey_corner(colour: tuple[int, int, int] | int = (128, 128, 128)) -> Image.Image:
    """Return a picture whose lower half is what libjpeg fills with."""
    image = PICTURE if isinstance(colour, tuple) else PICTURE.convert("L")
    image = image.copy()
    image.paste(colour, (0, 72, 200, 144))
    return image


@pytest.mark.parametrize(
    "options",
    [{}, {"progressive": True}, {"optimize": True}, {"quality": 100}, {"restart_marker_rows": 1}],
)
@pytest.mark.parametrize("colour", [(128, 128, 128), (127, 127, 127), 128])
def test_grey_that_is_meant(colour: Any, options: dict[str, Any]) -> None:
    data = encoded(grey_corner(colour), "JPEG", **options)
    assert pixels(data) == pixels(data[:-2]) == pillows(data)
    start = scan_starts(data)[0]
    assert refused(data[: start + 20] + EOI)


def test_a_grey_picture() -> None:
    for mode, colour in (("RGB", (128, 128, 128)), ("L", 128), ("CMYK", (127, 127, 127, 127))):
        data = encoded(Image.new(mode, (300, 200), colour), "JPEG")
        assert pixels(data) == pixels(data[:-2]) == pillows(data)


@settings(max_examples=80, deadline=None, database=None)
@given(
    st.sampled_from(["RGB", "L"]),
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(1, 100),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_any_whole_jpeg(
    mode: str, width: int, height: int, quality: int, progressive: bool, seed: int
) -> None:
    """Whole files of any size and content are never refused, with the marker or without."""
    random = np.random.default_rng(seed)
    shape = (height, width, 3) if mode == "RGB" else (height, width)
    image = Image.fromarray(random.integers(100, 156, shape, dtype=np.uint8))
    data = encoded(image, "JPEG", quality=quality, progressive=progressive)
    assert pixels(data) == pixels(data[:-2]) == pillows(data)


@settings(max_examples=80, deadline=None, database=None)
@given(st.sampled_from(sorted(JPEGS)), st.floats(0, 0.5))
def test_any_half_jpeg(name: str, share: float) -> None:
    (data,) = cuts(JPEGS[name], (share,))
    assert refused(data + EOI) and refused(data)


# --- PNG ------------------------------------------------------------------------------------------

RGB_SAMPLES = np.asarray(PICTURE)
BLACK_BELOW = RGB_SAMPLES.copy()
BLACK_BELOW[100:] = 0
KINDS = {
    "RGB": (RGB_SAMPLES, 2),
    "RGBA": (np.dstack([RGB_SAMPLES, RGB_SAMPLES[:, :, 0]]), 6),
    "grey": (RGB_SAMPLES[:, :, :1], 0),
    "16 bits": (RGB_SAMPLES.astype(np.uint16) * 257, 2),
    "black below": (BLACK_BELOW, 2),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_png_whose_data_ends_early_but_well(kind: str) -> None:
    samples, colour = KINDS[kind]
    assert pixels(png(samples, colour)) == pillows(png(samples, colour))
    for rows in (0, 1, 100, 143):
        assert refused(png(samples, colour, rows)), rows


@pytest.mark.parametrize("kind", KINDS)
def test_an_interlaced_png_that_lacks_passes(kind: str) -> None:
    samples, colour = KINDS[kind]
    whole = interlaced_png(samples, colour)
    assert pixels(whole) == pillows(whole) == pillows(png(samples, colour))
    for passes in range(7):
        assert refused(interlaced_png(samples, colour, passes)), passes


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (4, 4), (5, 1), (1, 9)])
def test_small_interlaced_pngs(size: tuple[int, int]) -> None:
    samples = np.zeros((*size, 3), np.uint8)
    assert pixels(interlaced_png(samples, 2)) == samples.tobytes()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "I;16"])
def test_black_pictures_are_pictures(mode: str) -> None:
    for size in ((1, 1), (7, 5), (300, 200)):
        data = encoded(Image.new(mode, size), "PNG")
        assert pixels(data) == pillows(data)


# --- the others -----------------------------------------------------------------------------------


@pytest.mark.parametrize("deflate", [False, True])
def test_a_tiff_that_lacks_strips(deflate: bool) -> None:
    samples = np.asarray(PICTURE)
    for planar, parts in ((False, 18), (True, 54)):
        whole = tiff(samples, RGB, rows=8, planar=planar, deflate=deflate)
        assert pixels(whole) == PICTURE.tobytes()
        for strips in (1, parts // 2, parts - 1):
            file = tiff(samples, RGB, rows=8, strips=strips, planar=planar, deflate=deflate)
            assert refused(file)
    grey = samples[:, :, 0]
    assert refused(tiff(grey, BLACK_IS_ZERO, rows=100, strips=1, deflate=deflate))


def test_a_tiff_of_jpegs_that_lacks_pixels() -> None:
    whole = encoded(PICTURE, "TIFF", compression="jpeg")
    assert pixels(whole) == pillows(whole)
    image = Image.open(io.BytesIO(whole))
    first, last = image.tag_v2[279]
    (table,) = struct.unpack_from("<L", whole, 4)
    entries = range(table + 2, table + 2 + 12 * whole[table], 12)
    entry = next(at for at in entries if struct.unpack_from("<H", whole, at)[0] == 279)

    def with_bytes(count: int) -> bytes:
        counts = struct.pack("<HHLHH", 279, 3, 2, first, count)
        return whole[:entry] + counts + whole[entry + 12 :]

    assert pixels(with_bytes(last - 2)) == pillows(whole), "it lacks its marker"
    assert refused(with_bytes(last // 2))


@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind != "JPEG"])
def test_half_of_any_other_file(kind: str) -> None:
    data = encoded(PICTURE, kind)
    for share in (0.3, 0.5, 0.7, 0.9):
        assert refused(data[: int(len(data) * share)]), share


def test_a_bmp_in_runs_that_breaks_off() -> None:
    runs = b"".join(bytes((200, row % 250)) + b"\0\0" for row in range(144))
    palette = bytes(range(256)) * 4
    head = struct.pack("<LLLHHLLLLLL", 40, 200, 144, 1, 8, 1, len(runs) + 2, 0, 0, 256, 256)
    start = 14 + len(head) + len(palette)
    data = b"BM" + struct.pack("<LHHL", start + len(runs) + 2, 0, 0, start) + head + palette + runs
    assert pixels(data + b"\0\1") == pillows(data + b"\0\1")
    assert refused(data[: -len(runs) // 2])
