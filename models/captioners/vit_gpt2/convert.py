"""Converts the hub's `VisionEncoderDecoderModel`s: nlpconnect/vit-gpt2-image-captioning, say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from models.api.metadata import ModelMetadata
from models.api.options import CaptionOptions, DecodeDefaults
from models.captioners.vit_gpt2.network import DEFAULTS, VitGpt2, check_kind
from models.captioners.vit_gpt2.tokenizer import SubwordTokenizer
from models.checkpoints import preprocessor_config
from models.checkpoints.pretrained import (
    CONFIG_NAME,
    ModelImportError,
    load_pretrained,
    read_json,
    save_network,
)

GENERATION_NAME = "generation_config.json"


def convert(source: Path, target: Path, fetched: bool = False) -> ModelMetadata:
    """Convert a hub model; see `models.checkpoints.pretrained.Convert`.

    Raises:
        ModelImportError: it is another kind of encoder-decoder, or files are missing or damaged.
    """
    config = read_json(source / CONFIG_NAME)
    try:
        check_kind(_model_type(config, "encoder"), _model_type(config, "decoder"))
        tokenizer = SubwordTokenizer.load(source)
    except ValueError as error:
        raise ModelImportError(str(error)) from error
    spec = preprocessor_config.read_spec(read_json(source / preprocessor_config.FILE_NAME))
    # Nothing asks for the pooled output.
    network: VitGpt2 = load_pretrained(VitGpt2, source, may_miss=("encoder.pooler.",))
    save_network(network, source, target, fetched)
    tokenizer.save(target)
    return ModelMetadata(
        method="vit-gpt2",
        preprocess=spec,
        decode=decode_defaults(source),
        vocabulary_sha256=tokenizer.vocabulary_hash(),
        parameters=sum(parameter.numel() for parameter in network.parameters()),
    )


def decode_defaults(source: Path) -> DecodeDefaults:
    """Return the decode defaults of a hub model: its generation config's, else the method's.

    Raises:
        ModelImportError: the file is damaged.
    """
    path = source / GENERATION_NAME
    content = read_json(path) if path.is_file() else {}
    wanted = {
        "num_beams": content.get("num_beams"),
        # Theirs counts the start token.
        "max_length": content["max_length"] - 1 if content.get("max_length") else None,
        "length_penalty": content.get("length_penalty"),
    }
    given = {name: value for name, value in wanted.items() if value is not None}
    try:
        CaptionOptions.model_validate(given)
    except ValidationError as error:
        raise ModelImportError(f"{GENERATION_NAME}: {error.errors()[0]['msg']}") from error
    return DEFAULTS.model_copy(update=given)


def _model_type(config: dict[str, Any], part: str) -> str:
    found = config.get(part)
    return str(found.get("model_type")) if isinstance(found, dict) else "missing"
