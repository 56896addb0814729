"""Converts the hub's `VisionEncoderDecoderModel`s: nlpconnect/vit-gpt2-image-captioning, say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from models.api.metadata import ModelMetadata
from models.api.options import DecodeDefaults
from models.captioners.vit_gpt2.network import DEFAULTS, VitGpt2, check_kind
from models.captioners.vit_gpt2.tokenizer import SubwordTokenizer
from models.checkpoints import generation_config, preprocessor_config
from models.checkpoints.generation_config import decode_defaults
from models.checkpoints.pretrained import (
    CONFIG_NAME,
    ModelImportError,
    load_pretrained,
    read_json,
    save_network,
)


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
        decode=hub_defaults(source),
        vocabulary_sha256=tokenizer.vocabulary_hash(),
        parameters=sum(parameter.numel() for parameter in network.parameters()),
    )


def hub_defaults(source: Path) -> DecodeDefaults:
    """Return the decode defaults of a hub model: its generation config's, else the method's.

    Raises:
        ModelImportError: the file is damaged.
    """
    path = source / generation_config.FILE_NAME
    content = read_json(path) if path.is_file() else {}
    longest = content.get("max_length")
    if content.get("max_new_tokens") is None and isinstance(longest, int):
        content["max_new_tokens"] = longest - 1  # it counts the start token
    return decode_defaults(content, DEFAULTS)


def _model_type(config: dict[str, Any], part: str) -> str:
    found = config.get(part)
    return str(found.get("model_type")) if isinstance(found, dict) else "missing"
