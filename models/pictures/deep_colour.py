"""Colours of 16 bits that use but a small part of their range: 12-bit cameras, 8 bits in 16.

Pillow keeps the high bytes of such colours, so these would come out black. Read a second time with
the bytes in the other order, a file gives the low bytes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from models.pictures.kinds import PictureError
from models.pictures.rgb import tiles, usual_white

_DARK = 64
"""High bytes are all below this where colours have 14 bits at most."""

_LOW_BYTES = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
"""For the last letter of a raw mode, the order of bytes, the one that finds the low bytes."""

Reopen = Callable[[], ImageFile.ImageFile]
"""Opens a file again."""


def raw_mode(image: ImageFile.ImageFile) -> str:
    """Return how the pixels lie in an opened file, in Pillow's notation; empty if unknown."""
    args: Any = image.tile[0].args if image.tile else ""
    first = args[0] if isinstance(args, tuple) and args else args
    return first if isinstance(first, str) else ""


def set_raw_mode(image: ImageFile.ImageFile, mode: str) -> None:
    """Have the pixels of an opened file, of all its tiles, read as in another raw mode."""
    image.tile = [
        tile._replace(args=(mode, *tile.args[1:]) if isinstance(tile.args, tuple) else (mode,))
        for tile in image.tile
    ]


def brightened(image: Image.Image, raw: str, reopen: Reopen) -> Image.Image:
    """Return a picture whose 16-bit colours use the whole range; itself where they do already.

    Args:
        image: decoded, the high bytes of its colours.
        raw: its raw mode, which says that they had 16 bits.
        reopen: opens the file again, at the same picture.

    Raises:
        PictureError: the low bytes cannot be had.
    """
    extremes = cast(tuple[tuple[int, int], ...], image.getextrema())
    colours = len(image.getbands()) - (image.mode in ("RGBA", "LA"))
    brightest = max(high for _, high in extremes[:colours])
    if brightest >= _DARK:
        return image
    if raw[-4:-1] != ";16" or "a" in raw:
        raise PictureError(
            "unsupported", "The picture has 16-bit colours that use a small part of their range"
        )
    low = reopen()
    set_raw_mode(low, raw[:-1] + _LOW_BYTES[raw[-1]])
    low.load()
    white = 0
    for (_, _, high_tile), (_, _, low_tile) in zip(tiles(image), tiles(low), strict=True):
        white = max(white, int(_joined(high_tile, low_tile)[:, :, :colours].max()))
    if white == 0:
        return image
    white = usual_white(white)
    out = Image.new(image.mode, image.size)
    for (left, top, high_tile), (_, _, low_tile) in zip(tiles(image), tiles(low), strict=True):
        shown = np.array(high_tile)
        values = _joined(high_tile, low_tile)[:, :, :colours].astype(np.uint32)
        shown[:, :, :colours] = values * 255 // white
        out.paste(Image.fromarray(shown, image.mode), (left, top))
    out.info = image.info
    return out


def _joined(high: Image.Image, low: Image.Image) -> NDArray[np.uint16]:
    """Return `uint16 [H, W, bands]` of pictures that hold the high and the low bytes."""
    return np.asarray(high).astype(np.uint16) << 8 | np.asarray(low)
