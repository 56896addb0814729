"""Reads a hub model's `preprocessor_config.json` into our `PreprocessSpec`.

By itself, without transformers: the file may name classes that no longer exist, and all that is
wanted of it is a size, a way to fit and a scale.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from models.api.preprocessing import PreprocessSpec
from models.checkpoints.pretrained import ModelImportError

FILE_NAME = "preprocessor_config.json"
PROCESSOR_FILE_NAME = "processor_config.json"

RESAMPLE = {1: "lanczos", 2: "bilinear", 3: "bicubic"}
"""Name of a filter by PIL's number, which the files have."""

VIT = PreprocessSpec(resample="bilinear")
"""ViT's defaults in transformers: 224, bilinear, mean and standard deviation 0.5."""


def read_content(directory: Path) -> dict[str, Any]:
    """Return the image processor's settings of a hub model; empty where it has none.

    Newer models keep them in `processor_config.json`, under `image_processor`.

    Raises:
        ModelImportError: a file is no JSON object.
    """
    for name in (FILE_NAME, PROCESSOR_FILE_NAME):
        path = directory / name
        if not path.is_file():
            continue
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if name == PROCESSOR_FILE_NAME:
                content = content.get("image_processor") or {}
            return {**content}
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise ModelImportError(f"{name} cannot be read: {error}") from error
    return {}


def read_spec(content: dict[str, Any], default: PreprocessSpec = VIT) -> PreprocessSpec:
    """Return the preprocess spec that the file's content describes.

    `size` may be a number, `{"height", "width"}` or `{"shortest_edge"}`; with `do_center_crop` the
    shorter side is resized and the picture cropped to `crop_size`, else, or with Kosmos-2's
    `use_square_size`, it is squashed. Missing values are those of `default`.

    Raises:
        ModelImportError: a value is of a kind we do not know.
    """
    try:
        factor = content.get("rescale_factor", 1 / 255)
        if not content.get("do_rescale", True) or not math.isclose(factor, 1 / 255, rel_tol=1e-4):
            raise ValueError("pixels must be scaled to 0..1")
        size = content.get("size")
        fit = default.fit if size is None else "squash"
        edge = None
        if content.get("do_center_crop", False) and not content.get("use_square_size", False):
            edge = size.get("shortest_edge") if isinstance(size, dict) else None
            fit, size = "crop", content.get("crop_size", size)
        height, width = (default.height, default.width) if size is None else _height_width(size)
        normalised = content.get("do_normalize", True)
        return PreprocessSpec.model_validate(
            {
                "height": height,
                "width": width,
                "fit": fit,
                "crop_edge": None if edge in (height, width) and height == width else edge,
                "resample": RESAMPLE[content["resample"]]
                if content.get("resample") is not None
                else default.resample,
                "mean": content.get("image_mean", default.mean) if normalised else (0.0,) * 3,
                "std": content.get("image_std", default.std) if normalised else (1.0,) * 3,
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
