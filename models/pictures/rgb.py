"""From a decoded picture of any mode to 8-bit RGB, tile by tile where it is large.

Grey of 16 bits and more, or in floats, says nowhere what is black and what is white: the values do.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

WHITE_IS_ZERO: Final = "white is zero"
UNSIGNED: Final = "unsigned"
"""Keys in `Image.info` by which the reader says how grey values are meant: the greatest is black;
negative ones are what Pillow makes of unsigned 32-bit numbers."""

# A tile's copies while it is converted: 20 bytes a pixel and more.
TILE_PIXELS = 1024 * 1024
TILE_COLUMNS = 4096

_USUAL_RANGES = (255, 1023, 4095, 16383, 65535, 2**32 - 1)
_USUAL_FLOATS = (1.0, 255.0, 65535.0)
_NO_VALUE = 1e30
"""Floats beyond this, and what is no number, stand for pixels without a value."""

_SAMPLE = 128
_OUTLIERS = 16
"""Extremes are let go where 98 % of a picture's values fill less than this part of their range."""


class GreyRange(NamedTuple):
    """The values that are shown as black and as white.

    `black` is greater than `white` where a picture is inverted.
    """

    black: float
    white: float


def flattened(image: Image.Image, factors: tuple[int, int] = (1, 1)) -> Image.Image:
    """Return a decoded picture as 8-bit RGB, transparency flattened onto white.

    A picture without a single pixel that shows is taken without its transparency: programs that
    know nothing of it leave zeros there.

    Args:
        image: of any mode.
        factors: whole numbers that several tiles are reduced by, across and down.
    """
    grey = grey_range(image) if is_wide_grey(image) else None
    shown = not _is_hidden(image)
    if image.width * image.height <= TILE_PIXELS:
        return _convert(image, grey, shown)
    across, down = factors
    out = Image.new("RGB", (-(-image.width // across), -(-image.height // down)))
    for left, top, tile in tiles(image, factors):
        rgb = _convert(tile, grey, shown)
        out.paste(rgb if factors == (1, 1) else rgb.reduce(factors), (left // across, top // down))
    return out


def tiles(
    image: Image.Image, factors: tuple[int, int] = (1, 1)
) -> Iterator[tuple[int, int, Image.Image]]:
    """Yield `(left, top, tile)` over a picture, each but the last a multiple of the factors."""
    width, height = image.size
    if width * height <= TILE_PIXELS:
        yield 0, 0, image
        return
    across, down = factors
    columns = max(1, min(width, TILE_COLUMNS) // across) * across
    rows = max(1, TILE_PIXELS // columns // down) * down
    for top in range(0, height, rows):
        for left in range(0, width, columns):
            box = (left, top, min(left + columns, width), min(top + rows, height))
            yield left, top, image.crop(box)


def is_wide_grey(image: Image.Image) -> bool:
    """Whether a picture is grey of more than 8 bits."""
    return image.mode.startswith("I") or image.mode == "F"


def grey_range(image: Image.Image) -> GreyRange:
    """Return the range that a grey picture's values are meant in, or else the one they fill.

    A usual range (0..1 for floats, 0..255, 10, 12, 14, 16 or 32 bits) is meant where no value is
    outside it and more than half of it is used.
    """
    usual = _USUAL_FLOATS if image.mode == "F" else _USUAL_RANGES
    lowest, highest = _extremes(image)
    fitting = next((float(most) for most in usual if highest <= most), None)
    if lowest >= 0 and fitting and (highest > fitting / 2 or lowest == highest):
        black, white = 0.0, fitting
    else:
        black, white = lowest, highest
    low, high = _most_of_it(image)
    if high > low and (high - low) * _OUTLIERS < white - black:
        black, white = low, high
    return GreyRange(white, black) if image.info.get(WHITE_IS_ZERO) else GreyRange(black, white)


def usual_white(highest: int) -> int:
    """Return the greatest value of the range that whole numbers up to `highest` are meant in."""
    fitting = next(most for most in _USUAL_RANGES if highest <= most)
    return fitting if highest > fitting // 2 else highest


def _extremes(image: Image.Image) -> tuple[float, float]:
    """Return the lowest and the highest value."""
    lowest, highest = np.inf, -np.inf
    for _, _, tile in tiles(image):
        values = _known(_values(tile, image.info))
        if values.size:
            lowest, highest = min(lowest, float(values.min())), max(highest, float(values.max()))
    return (lowest, highest) if lowest <= highest else (0.0, 0.0)


def _most_of_it(image: Image.Image) -> tuple[float, float]:
    """Return values that one in a hundred is below, and one above."""
    size = (min(image.width, _SAMPLE), min(image.height, _SAMPLE))
    sample = _known(_values(image.resize(size, Image.Resampling.NEAREST), image.info))
    if not sample.size:
        return 0.0, 0.0
    low, high = np.percentile(sample, (1, 99))
    return float(low), float(high)


def _values(image: Image.Image, info: dict[str | tuple[int, int], Any]) -> NDArray[Any]:
    """Return a grey picture's or a tile's values, `[H, W]`, as they are meant."""
    values = np.asarray(image)
    return values.astype(np.int32).view(np.uint32) if info.get(UNSIGNED) else values


def _known(values: NDArray[Any]) -> NDArray[Any]:
    """Return those values, in a row, that are any."""
    if values.dtype.kind != "f":
        return values.ravel()
    with np.errstate(invalid="ignore"):
        return values[np.abs(values) < _NO_VALUE]


def _as_bytes(image: Image.Image, grey: GreyRange) -> Image.Image:
    """Return a wide grey picture, or a tile of one, as 8-bit grey."""
    values = _values(image, image.info)
    key = image.info.get("transparency")
    # Floats of 64 bits hold every whole number of 32 bits.
    spread = values.astype(np.float64)
    if values.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            spread[~(np.abs(values) < _NO_VALUE)] = min(grey)
    spread -= grey.black
    spread *= 255
    spread /= (grey.white - grey.black) or 1.0
    shown = np.clip(spread, 0, 255, out=spread).astype(np.uint8)
    if isinstance(key, int):
        shown[values == key] = 255  # as on white
    return Image.fromarray(shown)


def _is_hidden(image: Image.Image) -> bool:
    """Whether a picture is wholly transparent, though there is one."""
    if image.mode in ("RGBA", "LA", "PA"):
        *colours, alpha = cast(tuple[tuple[int, int], ...], image.getextrema())
        return alpha == (0, 0) and any(low != high for low, high in colours)
    alphas = image.info.get("transparency")
    if image.mode != "P" or not isinstance(alphas, bytes):
        return False
    used = [index for index, count in enumerate(image.histogram()) if count]
    palette = image.getpalette() or []
    shades = {tuple(palette[3 * index : 3 * index + 3]) for index in used}
    return len(shades) > 1 and not any(alphas[index : index + 1] != b"\0" for index in used)


def _convert(image: Image.Image, grey: GreyRange | None, shown: bool) -> Image.Image:
    """Return a decoded picture, or a tile of one, as 8-bit RGB.

    Args:
        image: of any mode.
        grey: range of a wide grey picture; `convert("L")` alone would clip its values.
        shown: whether its transparency counts.
    """
    if grey is not None:
        return _as_bytes(image, grey).convert("RGB")
    if image.mode == "La":
        image = image.convert("LA")  # Pillow knows no other way
    if shown and (image.mode in ("RGBA", "LA", "PA", "RGBa") or "transparency" in image.info):
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")
