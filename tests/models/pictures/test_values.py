"""Pixels are what the file means, or refused: never black, blank or inverted without a word."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from models.pictures import rgb
from models.pictures.kinds import PictureError
from models.pictures.reader import Picture
from models.pictures.sizing import read_rgb
from tests.picture_files import encoded, png
from tests.tiff_files import (
    BLACK_IS_ZERO,
    CMYK,
    FLOAT,
    RGB,
    SIGNED,
    UNSIGNED,
    WHITE_IS_ZERO,
    YCBCR,
    tiff,
)

# Pillow warns of damaged metadata, and of palettes with transparency.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")

HEIGHT, WIDTH = 60, 80
RAMP = np.linspace(0, 1, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)
COLOURS = np.dstack([RAMP, 1 - RAMP, RAMP**2])
Values = NDArray[Any]


def shown(data: bytes) -> Values:
    """Return what the model is shown of a file, `float [H, W, 3]`, 0..1."""
    return np.asarray(read_rgb(data)).astype(float) / 255


def error(data: bytes, expected: Values) -> float:
    if expected.ndim == 2:
        expected = np.dstack([expected] * 3)
    return float(np.abs(shown(data) - expected).mean())


def file(values: Values, kind: str) -> bytes:
    return encoded(Image.fromarray(values.astype(kind)), "TIFF")


# --- ranges of grey -------------------------------------------------------------------------------

RANGES: dict[str, tuple[str, float, float]] = {
    "floats 0..1": ("float32", 0, 1),
    "overshoot of a resize": ("float32", 0, 1.001),
    "undershoot": ("float32", -0.001, 1),
    "HDR": ("float32", 0, 2),
    "dark floats": ("float32", 0, 0.01),
    "floats 0..255": ("float32", 0, 255),
    "floats 0..256": ("float32", 0, 256),
    "percent": ("float32", 0, 100),
    "kelvin": ("float32", 290, 310),
    "negative": ("float32", -7, -3),
    "around nothing": ("float32", -1, 1),
    "tiny": ("float32", 0, 1e-20),
    "huge": ("float32", 0, 1e20),
    "16 bits": ("uint16", 0, 65535),
    "14 bits": ("uint16", 0, 16383),
    "12 bits": ("uint16", 0, 4095),
    "10 bits": ("uint16", 0, 1023),
    "8 bits of 16": ("uint16", 0, 255),
    "few of 16 bits": ("uint16", 0, 40),
    "somewhere in 16 bits": ("uint16", 20_000, 21_000),
    "a thousand": ("int32", 0, 1000),
    "negative whole numbers": ("int32", -2000, 2000),
    "31 bits": ("int32", 0, 2**31 - 1),
}


@pytest.mark.parametrize("name", RANGES)
def test_a_ramp_is_a_ramp(name: str) -> None:
    kind, low, high = RANGES[name]
    assert error(file(RAMP * (high - low) + low, kind), RAMP) < 0.02


@pytest.mark.parametrize(
    ("kind", "most"), [("float32", 1), ("uint16", 65535), ("uint16", 4095), ("int32", 255)]
)
def test_a_usual_range_is_kept(kind: str, most: int) -> None:
    """Low contrast stays low where the values say what range they are meant in."""
    values = 0.2 + RAMP * 0.5
    assert error(file(values * most, kind), values) < 0.01


@settings(max_examples=100, deadline=None, database=None)
@given(
    st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.sampled_from(["float32", "int32"]), st.booleans()
)
def test_no_range_comes_out_black(low: float, spread: float, kind: str, tiles: bool) -> None:
    values = (low + RAMP * spread).astype(kind)
    if len(np.unique(values)) < 100:
        return
    with pytest.MonkeyPatch.context() as patch:
        if tiles:
            patch.setattr(rgb, "TILE_PIXELS", 1000)
        out = shown(file(values, kind))
    assert out.max() > 0.4 and out.max() - out.min() > 0.05
    assert (np.diff(out[:, :, 0].ravel()) >= 0).all()


@pytest.mark.parametrize("wild", [1e9, -1e9, np.inf, -np.inf, np.nan, -3.4e38])
def test_a_few_wild_values_hide_nothing(wild: float) -> None:
    values = (RAMP * 20 + 290).astype(np.float32)
    values[::13, ::17] = wild
    sound = values != wild if wild == wild else ~np.isnan(values)
    out = shown(file(values, "float32"))[:, :, 0]
    assert np.abs(out - RAMP)[sound].mean() < 0.03


def test_a_hot_pixel_in_16_bits() -> None:
    values = RAMP * 3000
    values[7, 7] = 65535
    assert np.abs(shown(file(values, "uint16"))[:, :, 0] - RAMP).mean() < 0.03


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        *(("uint16", value, value / 65535) for value in (0, 40_000, 65535)),
        *(("float32", value, value) for value in (0, 0.25, 1)),
        ("float32", np.nan, 0),
        ("float32", -5, 0),
        ("int32", 128, 0.5),
    ],
)
def test_one_value_everywhere(kind: str, value: float, expected: float) -> None:
    out = shown(file(np.full((8, 8), value), kind))
    assert np.abs(out - expected).max() < 0.01


def test_a_transparent_value_of_16_bits_is_white() -> None:
    values = (RAMP * 65535).astype(np.uint16)
    values[:, :40] = 777
    out = shown(encoded(Image.fromarray(values), "PNG", transparency=777))[:, :, 0]
    assert (out[:, :40] == 1).all() and np.abs(out - RAMP)[:, 40:].mean() < 0.01


# --- the layouts of TIFF --------------------------------------------------------------------------

TYPES = {
    "uint8": UNSIGNED,
    "int8": SIGNED,
    "uint16": UNSIGNED,
    "int16": SIGNED,
    "uint32": UNSIGNED,
    "int32": SIGNED,
    "float16": FLOAT,
    "float32": FLOAT,
    "float64": FLOAT,
}
READ: set[tuple[str, str]] = set()


def of_type(values: Values, kind: str) -> Values:
    """Return values 0..1 over a type's whole range."""
    if kind.startswith("float"):
        return values.astype(kind)
    info = np.iinfo(kind)
    return (values * (info.max - info.min) + info.min).astype(kind)


def right_or_refused(data: bytes, expected: Values, tolerance: float = 0.02) -> bool:
    """Whether a file is read; then it is read rightly."""
    try:
        difference = error(data, expected)
    except PictureError as refusal:
        assert refusal.refusal == "unsupported", refusal
        return False
    assert difference < tolerance
    return True


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("meaning", [WHITE_IS_ZERO, BLACK_IS_ZERO])
def test_grey_tiffs_are_right_or_refused(kind: str, meaning: int) -> None:
    samples = of_type(RAMP if meaning == BLACK_IS_ZERO else 1 - RAMP, kind)
    read = [
        right_or_refused(tiff(samples, meaning, order=order, deflate=deflate, rows=rows), RAMP)
        for order, deflate, rows in itertools.product("<>", (False, True), (None, 7))
    ]
    if (kind, meaning) in {("uint8", 0), ("uint8", 1), ("uint16", 1), ("int16", 1), ("float32", 1)}:
        assert all(read)


@pytest.mark.parametrize("kind", ["uint8", "uint16", "uint32", "float32"])
@pytest.mark.parametrize("extra", [None, (), (0,), (1,), (2,), (0, 0)])
def test_colour_tiffs_are_right_or_refused(kind: str, extra: tuple[int, ...] | None) -> None:
    more = 0 if extra is None else max(1, len(extra))
    samples = of_type(np.dstack([COLOURS, *[np.ones_like(RAMP)] * more]), kind)
    read = [
        right_or_refused(
            tiff(
                samples,
                RGB,
                order=order,
                deflate=deflate,
                rows=rows,
                planar=planar,
                extra=extra or (),
            ),
            COLOURS,
        )
        for order, deflate, rows, planar in itertools.product(
            "<>", (False, True), (None, 7), (False, True)
        )
    ]
    if kind in ("uint8", "uint16") and extra in (None, (), (2,)):
        assert all(read), read


@pytest.mark.parametrize("kind", ["uint8", "uint16"])
def test_ink_tiffs_are_right_or_refused(kind: str) -> None:
    samples = of_type(np.dstack([1 - COLOURS, np.zeros_like(RAMP)]), kind)
    for order, deflate, planar in itertools.product("<>", (False, True), (False, True)):
        right_or_refused(tiff(samples, CMYK, order=order, deflate=deflate, planar=planar), COLOURS)


@pytest.mark.parametrize("kind", ["uint8", "uint16"])
@pytest.mark.parametrize("extra", [(0,), (1,), (2,)])
def test_grey_tiffs_with_more_samples(kind: str, extra: tuple[int, ...]) -> None:
    samples = of_type(np.dstack([RAMP, np.ones_like(RAMP)]), kind)
    for order, deflate, planar in itertools.product("<>", (False, True), (False, True)):
        data = tiff(
            samples, BLACK_IS_ZERO, order=order, deflate=deflate, planar=planar, extra=extra
        )
        right_or_refused(data, RAMP)


def test_colours_that_are_subsampled() -> None:
    image = Image.fromarray((COLOURS * 255).astype(np.uint8)).convert("YCbCr")
    whole = np.asarray(image)
    assert right_or_refused(tiff(whole, YCBCR, tags=((530, 3, (1, 1)),)), COLOURS)
    luma = whole[:, :, 0].reshape(HEIGHT // 2, 2, WIDTH // 2, 2).transpose(0, 2, 1, 3)
    blocks = np.concatenate([luma.reshape(HEIGHT // 2, WIDTH // 2, 4), whole[::2, ::2, 1:]], axis=2)
    size = ((256, 4, (WIDTH,)), (257, 4, (HEIGHT,)), (258, 3, (8, 8, 8)), (277, 3, (3,)))
    data = tiff(
        blocks, YCBCR, tags=(*size, (278, 4, (HEIGHT,)), (339, 3, (1, 1, 1)), (530, 3, (2, 2)))
    )
    assert not right_or_refused(data, COLOURS)


# --- colours of 16 bits ---------------------------------------------------------------------------


@pytest.mark.parametrize("most", [65535, 16383, 4095, 1023, 255, 7])
@pytest.mark.parametrize("colour", [2, 6, 4])
def test_deep_pngs(colour: int, most: int) -> None:
    alpha = np.full_like(RAMP, 65535)
    if colour == 4:
        samples = np.dstack([RAMP * most, alpha])
    else:
        samples = np.dstack([COLOURS * most, *([alpha] if colour == 6 else [])])
    expected = RAMP if colour == 4 else COLOURS
    data = png(samples.astype(np.uint16), colour)
    read = right_or_refused(data, expected, 0.02 + 0.5 / most)
    assert read or (colour == 4 and most < 65535)


@pytest.mark.parametrize("most", [16383, 4095, 255])
@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("deflate", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_deep_tiffs(order: str, deflate: bool, planar: bool, most: int) -> None:
    samples = (COLOURS * most).astype(np.uint16)
    data = tiff(samples, RGB, order=order, deflate=deflate, planar=planar)
    assert right_or_refused(data, COLOURS) or planar


def test_deep_colours_in_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    data = png((COLOURS * 4095).astype(np.uint16), 2)
    whole = shown(data)
    monkeypatch.setattr(rgb, "TILE_PIXELS", 1000)
    monkeypatch.setattr(rgb, "TILE_COLUMNS", 32)
    assert (shown(data) == whole).all()


def test_a_black_picture_of_16_bits_is_black() -> None:
    assert shown(png(np.zeros((9, 9, 3), np.uint16), 2)).max() == 0


def test_dark_pictures_of_8_bits_are_left_alone() -> None:
    dark = (COLOURS * 40).astype(np.uint8)
    assert (np.asarray(read_rgb(png(dark, 2))) == dark).all()


# --- transparency that is all zero ----------------------------------------------------------------


def hidden(mode: str) -> Image.Image:
    image = Image.fromarray((COLOURS * 255).astype(np.uint8)).convert(mode)
    image.putalpha(0)
    return image


@pytest.mark.parametrize(("mode", "kind"), [("RGB", "PNG"), ("L", "PNG"), ("RGB", "TIFF")])
def test_a_picture_of_which_nothing_shows(mode: str, kind: str) -> None:
    plain = np.asarray(hidden(mode).convert("RGB" if mode == "RGB" else "L").convert("RGB"))
    assert np.abs(np.asarray(read_rgb(encoded(hidden(mode), kind))).astype(int) - plain).max() <= 1


def test_it_shows_where_one_pixel_does(monkeypatch: pytest.MonkeyPatch) -> None:
    image = hidden("RGB")
    image.putpixel((3, 3), (1, 2, 3, 255))
    monkeypatch.setattr(rgb, "TILE_PIXELS", 1000)
    out = np.asarray(read_rgb(encoded(image, "PNG")))
    assert tuple(out[3, 3]) == (1, 2, 3) and (out[10:] == 255).all()


def test_a_palette_of_which_nothing_shows() -> None:
    image = Image.fromarray((COLOURS * 255).astype(np.uint8)).quantize(16)
    expected = np.asarray(image.convert("RGB"))
    found = np.asarray(read_rgb(encoded(image, "PNG", transparency=bytes(256))))
    assert (found == expected).all()
    assert (np.asarray(read_rgb(encoded(image, "PNG", transparency=b"\0" * 15))) != 255).any()


def test_an_empty_picture_is_white() -> None:
    for mode in ("RGBA", "LA"):
        assert (np.asarray(read_rgb(encoded(Image.new(mode, (9, 9)), "PNG"))) == 255).all()


def test_the_size_is_that_of_the_upright_picture() -> None:
    data = tiff(of_type(COLOURS, "uint8"), RGB, tags=((274, 3, (6,)),))
    picture = Picture(data)
    assert picture.size == read_rgb(data).size == (HEIGHT, WIDTH)
