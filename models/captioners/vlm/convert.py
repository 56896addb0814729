"""From a hub model of one of the families to a model directory of ours."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoModelForImageTextToText

from models.api.metadata import ModelMetadata
from models.api.preprocessing import PreprocessSpec
from models.captioners.vlm.checkpoint import model_type, open_tokenizer
from models.captioners.vlm.families import family_class
from models.captioners.vlm.family import METHOD, Family
from models.captioners.vlm.step import NetworkState
from models.checkpoints.generation_config import decode_defaults
from models.checkpoints.preprocessor_config import read_content
from models.checkpoints.pretrained import (
    CONFIG_NAME,
    ModelImportError,
    load_pretrained,
    read_json,
    save_network,
)


def convert(directory: Path, target: Path, fetched: bool = False) -> ModelMetadata:
    """Write a hub model as a model directory: weights as safetensors, tokenizer.

    Args:
        directory: `save_pretrained` layout, as it is on the hub.
        target: an existing, empty folder.
        fetched: see `models.checkpoints.pretrained.Convert`.

    Returns:
        For `captionbox.json`; source and licence are the caller's to add.

    Raises:
        ModelImportError, BrokenModelError: `directory` is incomplete or damaged, or says something
            that cannot be followed.
    """
    kind = family_class(model_type(directory))
    try:
        network = load_pretrained(AutoModelForImageTextToText, directory)
    except ModelImportError as error:
        if "auto_map" not in read_json(directory / CONFIG_NAME):
            raise
        # Florence-2 as its authors published it, before transformers had it.
        raise ModelImportError(
            f"{error}; it came with code of its own, which is not run here: look for a conversion "
            "to transformers' own classes"
        ) from error
    family = kind(network, open_tokenizer(directory))
    settings = read_content(directory)
    spec = family.spec(settings)
    _check(family, spec)
    save_network(family.network, directory, target, fetched)
    family.tokenizer.save_pretrained(target)
    return ModelMetadata(
        method=METHOD,
        preprocess=spec,
        decode=decode_defaults(family.network.generation_config.to_dict(), family.decode),
        vocabulary_sha256=family.vocabulary_hash(),
        parameters=sum(weights.numel() for weights in family.network.parameters()),
        notes=family.notes(settings),
    )


def _check(family: Family, spec: PreprocessSpec) -> None:
    """Have the network read a grey picture and its prompt.

    Raises:
        ModelImportError: it cannot: a size, a marker or the chat template does not fit.
    """
    grey = torch.full((1, 3, spec.height, spec.width), 0.25, dtype=family.network.dtype)
    try:
        with torch.inference_mode():
            prefill = family.prefill(grey, [family.decode.prompt])
            family.step(torch.zeros(1, dtype=torch.int64), NetworkState.start(prefill, 1))
    except Exception as error:  # jinja, tokenizers, torch and transformers raise many kinds
        raise ModelImportError(f"the network cannot read a picture: {error}") from error
