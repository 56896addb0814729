"""Reads a hub model's `preprocessor_config.json` into our `PreprocessSpec`.

By itself, without transformers: the file may name classes that no longer exist, and all that is
wanted of it is a size, a way to fit and a scale.
"""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import ValidationError

from models.import_error import ModelImportError
from models.preprocessing import PreprocessSpec

FILE_NAME = "preprocessor_config.json"

_RESAMPLE = {1: "lanczos", 2: "bilinear", 3: "bicubic"}
"""PIL's numbers."""


def read_spec(content: dict[str, Any]) -> PreprocessSpec:
    """Return the preprocess spec that the file's content describes.

    `size` may be a number, `{"height", "width"}` or `{"shortest_edge"}`; with `do_center_crop` the
    picture is cropped to `crop_size`, else it is squashed. Missing values are those of ViT in
    transformers: 224, bilinear, mean and standard deviation 0.5.

    Raises:
        ModelImportError: a value is of a kind we do not know.
    """
    try:
        factor = content.get("rescale_factor", 1 / 255)
        if not content.get("do_rescale", True) or not math.isclose(factor, 1 / 255, rel_tol=1e-4):
            raise ValueError("pixels must be scaled to 0..1")
        fit: Literal["squash", "crop"] = "squash"
        size = content.get("size", 224)
        if content.get("do_center_crop", False):
            fit, size = "crop", content.get("crop_size", size)
        height, width = _height_width(size)
        normalised = content.get("do_normalize", True)
        return PreprocessSpec.model_validate(
            {
                "height": height,
                "width": width,
                "fit": fit,
                "resample": _RESAMPLE[content.get("resample", 2)],
                "mean": content.get("image_mean", (0.5,) * 3) if normalised else (0.0,) * 3,
                "std": content.get("image_std", (0.5,) * 3) if normalised else (1.0,) * 3,
            }
        )
    except (KeyError, TypeError, ValueError, ValidationError) as error:
        raise ModelImportError(f"{FILE_NAME}: not understood: {error}") from error


def _height_width(size: Any) -> tuple[int, int]:
    if isinstance(size, dict):
        if "shortest_edge" in size:
            return int(size["shortest_edge"]), int(size["shortest_edge"])
        return int(size["height"]), int(size["width"])
    if isinstance(size, list):
        height, width = size
        return int(height), int(width)
    return int(size), int(size)
