"""Opens a directory in `save_pretrained` layout as a `Family`. Never runs code that it holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForImageTextToText, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from models.api.metadata import BrokenModelError
from models.captioners.vlm.families import family_class
from models.captioners.vlm.family import Family

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


def open_family(directory: Path) -> Family:
    """Load network and tokenizer of a model directory, in float32.

    Raises:
        BrokenModelError: files are missing, damaged, or do not fit together.
    """
    kind = family_class(model_type(directory))
    try:
        network = AutoModelForImageTextToText.from_pretrained(
            directory,
            dtype=torch.float32,
            local_files_only=True,
            trust_remote_code=False,
            weights_only=True,
        )
    except Exception as error:  # safetensors, transformers and torch raise many kinds
        raise BrokenModelError(f"the model's files cannot be read: {error}") from error
    return kind(network.eval(), open_tokenizer(directory))


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
