"""From a decoded picture to the pixels a model was trained on. PIL and numpy only, no torch.

The gateway turns every upload into `uint8 [3, H, W]` with the functions here, and training reads
its images through the same ones: what a model sees when it serves is what it saw when it learnt.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from pydantic import BaseModel, ConfigDict, Field

Pixels = NDArray[np.uint8]
"""One RGB picture, `uint8 [3, H, W]`, values 0..255."""

_RESAMPLE = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}

Fit = Literal["squash", "crop", "pad", "multiple"]
"""How pictures fit the input size; see `PreprocessSpec`."""

_Triple = tuple[float, float, float]


class PreprocessSpec(BaseModel):
    """How pictures are brought to a model's input size and scale. Travels with the weights.

    Attributes:
        height: input height in pixels.
        width: input width in pixels.
        fit: `"squash"` resizes to `height` x `width` whatever the aspect ratio; `"crop"` resizes
            the shorter side and cuts the centre; `"pad"` resizes the longer side and pads with
            black; `"multiple"` resizes to multiples of `size_divisor`, see `_resize_to_multiples`,
            and takes the centre, with black around it where the picture is smaller.
        resample: interpolation (PIL's antialiased filters).
        mean: per channel, subtracted after scaling pixels to 0..1.
        std: per channel, divides after `mean` is subtracted.
        shortest_edge: for `"multiple"`: what the shorter side is resized to, in pixels.
        size_divisor: for `"multiple"`: both sides are multiples of this, in pixels.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    height: Annotated[int, Field(ge=16, le=2048)] = 224
    width: Annotated[int, Field(ge=16, le=2048)] = 224
    fit: Fit = "squash"
    resample: Literal["bilinear", "bicubic", "lanczos"] = "bicubic"
    mean: _Triple = (0.5, 0.5, 0.5)
    std: _Triple = (0.5, 0.5, 0.5)
    shortest_edge: Annotated[int, Field(ge=16, le=2048)] = 288
    size_divisor: Annotated[int, Field(ge=1, le=256)] = 32


def to_rgb(image: Image.Image) -> Image.Image:
    """Return an upright 8-bit RGB copy of any picture PIL can read.

    Applies the EXIF orientation, takes the first frame, flattens transparency onto white (as a
    browser shows it), scales 16-bit and floating-point grey values to 8 bits, converts palettes,
    CMYK, YCbCr, Lab and bilevel pictures.

    Raises:
        OSError, SyntaxError, ValueError: PIL cannot decode the pixels (truncated or broken file).
    """
    if getattr(image, "is_animated", False):
        image.seek(0)
    image.load()
    image = ImageOps.exif_transpose(image)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        image = _scale_to_8_bit(image)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _scale_to_8_bit(image: Image.Image) -> Image.Image:
    """Map a 16-bit, 32-bit or float grey picture to `L`; `convert("L")` alone would clip."""
    values = np.asarray(image, dtype=np.float64)
    values = np.nan_to_num(values, posinf=0.0, neginf=0.0)
    if image.mode == "F" and values.size and values.max() <= 1.0 and values.min() >= 0.0:
        values = values * 255.0
    elif image.mode.startswith("I;16") or (values.size and 255 < values.max() <= 65535):
        values = values / 257.0
    elif values.size and values.max() > 65535:
        values = values * (255.0 / values.max())
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def resize(image: Image.Image, spec: PreprocessSpec) -> Image.Image:
    """Return the RGB `image` at the spec's size."""
    resample = _RESAMPLE[spec.resample]
    size = (spec.width, spec.height)
    if spec.fit == "squash":
        return image if image.size == size else image.resize(size, resample, reducing_gap=3.0)
    if spec.fit == "crop":
        return ImageOps.fit(image, size, resample)
    if spec.fit == "multiple":
        return _centre(_resize_to_multiples(image, spec), size)
    return ImageOps.pad(image, size, resample, color="black")


def _resize_to_multiples(image: Image.Image, spec: PreprocessSpec) -> Image.Image:
    """Resize as ViLT and BridgeTower do (transformers, `get_resize_output_image_size`).

    The shorter side becomes `shortest_edge`; less where the longer one would exceed 1333/800 of
    that. Both are then rounded down to multiples of `size_divisor`, at least one of them.
    """
    longest = int(1333 / 800 * spec.shortest_edge)
    scale = spec.shortest_edge / min(image.size)
    # In the order of transformers' operations: another rounds differently.
    sides = [spec.shortest_edge if side == min(image.size) else scale * side for side in image.size]
    if max(sides) > longest:
        scale = longest / max(sides)
        sides = [scale * side for side in sides]
    divisor = spec.size_divisor
    width, height = (max(divisor, int(side + 0.5) // divisor * divisor) for side in sides)
    return image.resize((width, height), _RESAMPLE[spec.resample])


def _centre(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return the centre of a picture, black where the picture is smaller than `size`."""
    left, top = ((has - wanted) // 2 for has, wanted in zip(image.size, size, strict=True))
    # `Image.crop` fills with black what lies outside.
    return image.crop((left, top, left + size[0], top + size[1]))


def to_pixels(image: Image.Image, spec: PreprocessSpec) -> Pixels:
    """Return `image` as the model's input, `uint8 [3, spec.height, spec.width]`, C-contiguous.

    Raises:
        OSError, SyntaxError, ValueError: PIL cannot decode the pixels.
    """
    array = np.asarray(resize(to_rgb(image), spec), dtype=np.uint8)  # [H, W, 3]
    return np.ascontiguousarray(array.transpose(2, 0, 1))


def normalisation(spec: PreprocessSpec) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return float32 `(scale, offset)`, `[3]` each: a model reads `pixels * scale + offset`."""
    mean = np.asarray(spec.mean, dtype=np.float32)
    std = np.asarray(spec.std, dtype=np.float32)
    return (1.0 / (255.0 * std)).astype(np.float32), (-mean / std).astype(np.float32)
