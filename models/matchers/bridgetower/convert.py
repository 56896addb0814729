"""From a BridgeTower of the hub to a model directory of ours."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from transformers import BridgeTowerForImageAndTextRetrieval, RobertaTokenizer
from transformers.utils.constants import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

from models.api.metadata import ModelMetadata
from models.api.preprocessing import PreprocessSpec
from models.checkpoints.preprocessor_config import FILE_NAME, RESAMPLE
from models.checkpoints.pretrained import ModelImportError, load_pretrained, read_json, save_network

METHOD = "bridgetower"


def convert(directory: Path, target: Path, fetched: bool = False) -> ModelMetadata:
    """Write a hub model as a model directory; see `models.checkpoints.pretrained.Convert`."""
    network = load_pretrained(BridgeTowerForImageAndTextRetrieval, directory)
    try:
        tokenizer = RobertaTokenizer.from_pretrained(directory, local_files_only=True)
    except Exception as error:  # transformers and tokenizers raise many kinds
        raise ModelImportError(f"the tokenizer cannot be read: {error}") from error
    spec = preprocess_spec(read_json(directory / FILE_NAME))
    save_network(network, directory, target, fetched)
    tokenizer.save_pretrained(target)
    return ModelMetadata(
        method=METHOD,
        preprocess=spec,
        parameters=sum(weights.numel() for weights in network.parameters()),
    )


def preprocess_spec(config: Mapping[str, Any]) -> PreprocessSpec:
    """Return the spec for a hub model's `preprocessor_config.json`.

    Args:
        config: its content. What it leaves out is as in transformers' `BridgeTowerImageProcessor`,
            but for `crop_size`, which older files do not have: the picture's shorter side then.

    Raises:
        ModelImportError: it asks for what no BridgeTower does, or its values make no sense.
    """
    for step in ("do_resize", "do_center_crop", "do_rescale", "do_normalize"):
        if config.get(step, True) is not True:
            raise ModelImportError(f"{FILE_NAME}: {step} is off, which no BridgeTower has")
    if not math.isclose(config.get("rescale_factor", 1 / 255), 1 / 255, rel_tol=1e-4):
        raise ModelImportError(f"{FILE_NAME}: rescale_factor is not 1/255")
    shortest = _side(config.get("size", 288))
    crop = _side(config.get("crop_size") or shortest)
    try:
        return PreprocessSpec.model_validate(
            {
                "fit": "multiple",
                "height": crop,
                "width": crop,
                "shortest_edge": shortest,
                "size_divisor": config.get("size_divisor", 32),
                "resample": RESAMPLE.get(config.get("resample", 3)),
                "mean": config.get("image_mean", OPENAI_CLIP_MEAN),
                "std": config.get("image_std", OPENAI_CLIP_STD),
            }
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise ModelImportError(
            f"{FILE_NAME}: {first['loc'][0]}: {first['msg']}, got {first['input']!r}"
        ) from error


def _side(size: Any) -> Any:
    """Return the one number of a size, whichever way it is written."""
    if isinstance(size, Mapping):
        sides = {value for value in size.values() if value is not None}
        return sides.pop() if len(sides) == 1 else size
    return size
