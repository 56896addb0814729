"""From a file or a decoded picture to RGB of a model's input size.

The server's decoding workers import this and little else, so there is no pydantic here: what of a
`models.api.preprocessing.PreprocessSpec` matters is an `InputSize`.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.pictures import rgb
from models.pictures.kinds import refusals
from models.pictures.orientation import SWAPPING, turn_of
from models.pictures.reader import Picture
from models.pictures.rgb import flattened

_RESAMPLE = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}

_REDUCING_GAP = 3.0

_MOST_AROUND = 16
"""How many times the input's pixels a picture may have before its centre is cut out."""


class InputSize(Protocol):
    """The size that a model takes pictures in; its attributes are those of `PreprocessSpec`."""

    @property
    def height(self) -> int:
        """Input height in pixels."""

    @property
    def width(self) -> int:
        """Input width in pixels."""

    @property
    def fit(self) -> str:
        """How pictures fit the input size."""

    @property
    def resample(self) -> str:
        """Interpolation."""

    @property
    def shortest_edge(self) -> int:
        """What the shorter side is resized to, for some values of `fit`."""

    @property
    def size_divisor(self) -> int:
        """What both sides are multiples of, for some values of `fit`."""

    @property
    def crop_edge(self) -> int | None:
        """What the shorter side is resized to before the centre is cut out."""


def draft(image: Image.Image, spec: InputSize) -> None:
    """Have a large JPEG decoded at a half, quarter or eighth of its size, where that loses nothing.

    At least twice the spec's size is left on both sides, so the resize still has enough to filter.
    Does nothing to other formats, and nothing the second time.
    """
    side = 2 * max(spec.width, spec.height)
    if image.format in ("JPEG", "MPO") and min(image.size) >= 2 * side:
        image.draft(None, (side, side))


def read_rgb(data: bytes, spec: InputSize | None = None) -> Image.Image:
    """Return a file's picture as upright RGB, at the size of a spec where one is given.

    Raises:
        PictureError: it is no picture that is read here, or damaged.
    """
    picture = Picture(data)
    if spec is not None:
        draft(picture.image, spec)
    image = picture.load()
    with refusals(data):
        return to_rgb(image) if spec is None else to_size(image, spec)


def to_rgb(image: Image.Image) -> Image.Image:
    """Return an upright 8-bit RGB copy of any picture PIL can read.

    Turns it upright, takes the first frame, flattens transparency onto white (as a browser shows
    it), scales 16-bit and floating-point grey values to 8 bits, converts palettes, CMYK, YCbCr, Lab
    and bilevel pictures. Files are better read by `read_rgb`.

    Raises:
        OSError, SyntaxError, ValueError: PIL cannot decode the pixels (truncated or broken file).
    """
    method = _load(image)
    upright = _turned(flattened(image), method)
    return image.copy() if upright is image else upright


def to_size(image: Image.Image, spec: InputSize) -> Image.Image:
    """Return a picture as `to_rgb` and `resize` would, in far less memory where it is large.

    A large picture is converted tile by tile, and each tile is reduced by a whole number on the
    way, as PIL's `reducing_gap` does: three times the final size is left for the resize.

    Raises:
        OSError, SyntaxError, ValueError: PIL cannot decode the pixels.
    """
    draft(image, spec)
    method = _load(image)
    width, height = size = image.size
    if width * height <= rgb.TILE_PIXELS:
        return resize(_turned(flattened(image), method), spec)
    if method in SWAPPING:
        size = (height, width)
    across, down = _factors(size, spec)
    factors = (down, across) if method in SWAPPING else (across, down)
    reduced = _turned(flattened(image, factors), method)
    # The last column and row may stand for less than a whole block. After a turn they may be the
    # first ones: then the share of a block is let go.
    box = (0.0, 0.0, width / factors[0], height / factors[1]) if method is None else None
    return _fit(reduced, spec, size, box)


def pixels_between(size: tuple[int, int], spec: InputSize) -> int:
    """Return how many pixels there are beside the decoded ones on the way to a spec's size.

    Args:
        size: width and height of the decoded picture.
        spec: what is wanted.
    """
    if size[0] * size[1] <= rgb.TILE_PIXELS:
        return 0
    across, down = _factors(size, spec)
    return -(-size[0] // across) * -(-size[1] // down)


def resize(image: Image.Image, spec: InputSize) -> Image.Image:
    """Return the RGB `image` at the spec's size; the image itself where it has that already."""
    return _fit(image, spec, image.size)


def _fit(
    image: Image.Image,
    spec: InputSize,
    size: tuple[int, int],
    box: tuple[float, float, float, float] | None = None,
) -> Image.Image:
    """Bring an RGB picture to the spec's size.

    Args:
        image: the picture, maybe reduced.
        spec: what is wanted.
        size: what the picture's was before it was reduced.
        box: where in `image` the picture lies; all over it by default.
    """
    resample, target = _RESAMPLE[spec.resample], (spec.width, spec.height)
    if spec.fit == "crop":
        return _cropped(image, spec, size, box)
    if spec.fit == "squash":
        if image.size == target:
            return image
        return image.resize(target, resample, box, _REDUCING_GAP)
    width, height = (round(side) for side in _whole_size(size, spec))
    whole = image if image.size == (width, height) else image.resize((width, height), resample, box)
    if spec.fit == "multiple":
        return _centre(whole, target)
    out = Image.new("RGB", target, "black")
    out.paste(whole, (round((target[0] - width) / 2), round((target[1] - height) / 2)))
    return out


def _cropped(
    image: Image.Image,
    spec: InputSize,
    size: tuple[int, int],
    box: tuple[float, float, float, float] | None,
) -> Image.Image:
    """Return the centre of a picture after all of it has been resized; see `_fit`."""
    target, whole = (spec.width, spec.height), _covering(size, spec)
    resample = _RESAMPLE[spec.resample]
    if whole[0] * whole[1] <= _MOST_AROUND * target[0] * target[1]:
        return _centre(image.resize(whole, resample, box), target)
    # A picture of one row: the whole would have no end. PIL weighs what lies beyond the box as
    # well, but has the box in single precision, so that pixels may differ by a grey level.
    left, top, right, bottom = box or (0.0, 0.0, *image.size)
    kept = (min(whole[0], target[0]), min(whole[1], target[1]))
    across, down = (right - left) / whole[0], (bottom - top) / whole[1]
    left += (whole[0] - kept[0]) // 2 * across
    top += (whole[1] - kept[1]) // 2 * down
    part = (left, top, min(left + kept[0] * across, right), min(top + kept[1] * down, bottom))
    return _centre(image.resize(kept, resample, part), target)


def _covering(size: tuple[int, int], spec: InputSize) -> tuple[int, int]:
    """Return what a whole picture is resized to before its centre is cut out, as CLIP has it."""
    width, height = size
    edge = spec.crop_edge
    if edge is not None:
        by_height, (across, down) = width > height, (edge, edge)
    else:
        across, down = spec.width, spec.height
        by_height = width / height > across / down
    if by_height:
        return max(1, int(down * width / height)), down
    return across, max(1, int(across * height / width))


def _factors(size: tuple[int, int], spec: InputSize) -> tuple[int, int]:
    """Return the whole numbers that a large picture is reduced by, across and down."""
    across, down = (
        max(1, int(has / gets / _REDUCING_GAP))
        for has, gets in zip(size, _whole_size(size, spec), strict=True)
    )
    return across, down


def _whole_size(size: tuple[int, int], spec: InputSize) -> tuple[float, float]:
    """Return what a whole picture of `size` is brought to, before anything is cut off or added."""
    target = (spec.width, spec.height)
    if spec.fit == "squash":
        return target
    if spec.fit == "multiple":
        return _multiples(size, spec)
    if spec.fit == "crop":
        return _covering(size, spec)
    width, height = size
    if width / height > target[0] / target[1]:
        return target[0], max(1, height / width * target[0])
    return max(1, width / height * target[1]), target[1]


def _multiples(size: tuple[int, int], spec: InputSize) -> tuple[int, int]:
    """Return the size that ViLT and BridgeTower resize to.

    As in transformers' `get_resize_output_image_size`: the shorter side becomes `shortest_edge`;
    less where the longer one would exceed 1333/800 of that. Both are then rounded down to multiples
    of `size_divisor`, at least one of them.
    """
    longest = int(1333 / 800 * spec.shortest_edge)
    scale = spec.shortest_edge / min(size)
    # In the order of transformers' operations: another rounds differently.
    sides = [spec.shortest_edge if side == min(size) else scale * side for side in size]
    if max(sides) > longest:
        scale = longest / max(sides)
        sides = [scale * side for side in sides]
    divisor = spec.size_divisor
    width, height = (max(divisor, int(side + 0.5) // divisor * divisor) for side in sides)
    return width, height


def _centre(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return the centre of a picture, black where the picture is smaller than `size`."""
    if image.size == size:
        return image
    left, top = ((has - wanted) // 2 for has, wanted in zip(image.size, size, strict=True))
    # `Image.crop` fills with black what lies outside.
    return image.crop((left, top, left + size[0], top + size[1]))


def to_pixels(image: Image.Image, spec: InputSize) -> NDArray[np.uint8]:
    """Return `image` as the model's input, `uint8 [3, spec.height, spec.width]`, C-contiguous.

    Raises:
        OSError, SyntaxError, ValueError: PIL cannot decode the pixels.
    """
    array = np.asarray(to_size(image, spec), dtype=np.uint8)  # [H, W, 3]
    return np.ascontiguousarray(array.transpose(2, 0, 1))


def _load(image: Image.Image) -> Image.Transpose | None:
    """Decode the first frame; return how it has to be turned."""
    if image.tell() != 0:
        image.seek(0)
    image.load()
    return turn_of(image)


def _turned(image: Image.Image, method: Image.Transpose | None) -> Image.Image:
    return image if method is None else image.transpose(method)
