"""How pictures are brought to what a model reads: size, mean and standard deviation.

The gateway turns every upload into `uint8 [3, H, W]` with `models.pictures`, and training reads its
images with it too: what a model sees when it serves is what it saw when it learnt.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

Pixels = NDArray[np.uint8]
"""One RGB picture, `uint8 [3, H, W]`, values 0..255."""

Fit = Literal["squash", "crop", "pad", "multiple"]
"""How pictures fit the input size; see `PreprocessSpec`."""

_Triple = tuple[float, float, float]


class PreprocessSpec(BaseModel):
    """How pictures are brought to a model's input size and scale. Travels with the weights.

    Attributes:
        height: input height in pixels.
        width: input width in pixels.
        fit: `"squash"` resizes to `height` x `width` whatever the aspect ratio; `"crop"` resizes
            as CLIP does: the shorter side to `crop_edge`, the other one by as much, rounded down,
            and cuts the centre; `"pad"` resizes the longer side and pads with
            black; `"multiple"` resizes to multiples of `size_divisor`, as ViLT and
            BridgeTower do, and takes the centre, with black around it where the picture is smaller.
        resample: interpolation (PIL's antialiased filters).
        mean: per channel, subtracted after scaling pixels to 0..1.
        std: per channel, divides after `mean` is subtracted.
        shortest_edge: for `"multiple"`: what the shorter side is resized to, in pixels.
        size_divisor: for `"multiple"`: both sides are multiples of this, in pixels.
        crop_edge: for `"crop"`: what the shorter side is resized to, in pixels; by default just
            enough to fill the input size. What the picture does not fill is black.
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
    crop_edge: Annotated[int, Field(ge=16, le=2048)] | None = None


def normalisation(spec: PreprocessSpec) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return float32 `(scale, offset)`, `[3]` each: a model reads `pixels * scale + offset`."""
    mean = np.asarray(spec.mean, dtype=np.float32)
    std = np.asarray(spec.std, dtype=np.float32)
    return (1.0 / (255.0 * std)).astype(np.float32), (-mean / std).astype(np.float32)
