"""Opens a directory in `save_pretrained` layout as a `Family`. Never runs code that it holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoConfig, AutoModelForImageTextToText, AutoTokenizer, GenerationConfig
from transformers.utils.logging import disable_progress_bar

from models.api.device import Precision
from models.api.metadata import BrokenModelError
from models.captioners.vlm.families import MODEL_TYPES, family_class
from models.captioners.vlm.family import Family
from models.captioners.vlm.weights import read_weights, stored_dtypes

disable_progress_bar()


def model_type(directory: Path) -> str:
    """Return the `model_type` of a directory's `config.json`.

    Raises:
        BrokenModelError: there is none.
    """
    try:
        content = json.loads((directory / "config.json").read_text(encoding="utf-8"))
        return str(content["model_type"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BrokenModelError(f"config.json cannot be used: {error!r}") from error


def open_family(directory: Path, precision: Precision = "fp32") -> Family:
    """Load network and tokenizer of a model directory.

    Args:
        directory: the model's.
        precision: `"fp32"`, or `"bf16"` for weights and products of two bytes.

    Raises:
        BrokenModelError: files are missing, damaged, or do not fit together.
    """
    kind = family_class(model_type(directory))
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    try:
        network = _open_network(directory, dtype)
    except Exception as error:  # safetensors, transformers and torch raise many kinds
        raise BrokenModelError(f"the model's files cannot be read: {error}") from error
    return kind(network.eval(), open_tokenizer(directory))


def stored_precision(directory: Path) -> Precision:
    """Return the format that a model directory's weights can be loaded in without growing.

    Raises:
        BrokenModelError: they are missing or damaged.
    """
    try:
        return "fp32" if torch.float32 in stored_dtypes(directory) else "bf16"
    except (OSError, ValueError, KeyError) as error:
        raise BrokenModelError(f"the model's files cannot be read: {error}") from error


def _open_network(directory: Path, dtype: torch.dtype) -> Any:
    """Load the network, its weights mapped where they are in `dtype` already."""
    if stored_dtypes(directory) == {dtype}:
        return AutoModelForImageTextToText.from_pretrained(
            directory,
            dtype=dtype,
            local_files_only=True,
            trust_remote_code=False,
            weights_only=True,
        )
    config = AutoConfig.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
    kind = getattr(transformers, MODEL_TYPES[config.model_type].networks[config.model_type])
    weights = read_weights(directory, dtype)
    network = kind.from_pretrained(None, config=config, state_dict=weights, dtype=dtype)
    if (directory / "generation_config.json").is_file():
        network.generation_config = GenerationConfig.from_pretrained(
            directory, local_files_only=True
        )
    return network


def open_tokenizer(directory: Path) -> Any:
    """Load the tokenizer of a model directory.

    Raises:
        BrokenModelError: its files are missing or damaged.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            directory, local_files_only=True, trust_remote_code=False
        )
        if tokenizer.chat_template is None:
            tokenizer.chat_template = _older_chat_template(directory)
    except Exception as error:  # tokenizers and transformers raise many kinds
        raise BrokenModelError(f"the tokenizer's files cannot be read: {error}") from error
    return tokenizer


def _older_chat_template(directory: Path) -> str | None:
    """Return the chat template that a processor kept in a file of its own, or None."""
    for name in ("chat_template.json", "processor_config.json"):
        path = directory / name
        if path.is_file():
            found = json.loads(path.read_text(encoding="utf-8")).get("chat_template")
            if isinstance(found, str):
                return found
    return None
