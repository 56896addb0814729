"""Reads a hub model's generation configuration into our `DecodeDefaults`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from models.api.options import CaptionOptions, DecodeDefaults
from models.checkpoints.pretrained import ModelImportError

FILE_NAME = "generation_config.json"

_NAMES = {
    "num_beams": "num_beams",
    "max_new_tokens": "max_length",
    "length_penalty": "length_penalty",
    "no_repeat_ngram_size": "no_repeat_ngram",
}
"""transformers' name to ours."""


def decode_defaults(
    generation: Mapping[str, Any], method: DecodeDefaults, strict: bool
) -> DecodeDefaults:
    """Return a method's decode defaults with what a checkpoint says in their place.

    Args:
        generation: values by transformers' names; the end token counts in `max_new_tokens`, what
            is None is not said.
        method: holds where `generation` is silent.
        strict: refuse a value that nobody may ask for; otherwise the method's holds.

    Raises:
        ModelImportError: see `strict`.
    """
    given: dict[str, Any] = {}
    for theirs, ours in _NAMES.items():
        value = generation.get(theirs)
        if value is None:
            continue
        try:
            if ours in CaptionOptions.model_fields:
                CaptionOptions.model_validate({ours: value})
            given[ours] = value
        except ValidationError as error:
            if strict:
                raise ModelImportError(f"{FILE_NAME}: {error.errors()[0]['msg']}") from error
    return method.model_copy(update=given)
