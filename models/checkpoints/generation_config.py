"""Reads a hub model's generation configuration into our `DecodeDefaults`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from models.api.options import LONGEST_CAPTION, CaptionOptions, DecodeDefaults

logger = logging.getLogger(__name__)

FILE_NAME = "generation_config.json"

LONGEST_DEFAULT = 48
"""Longer captions may be asked for, but are not what alt text wants by default."""

_SIZE: TypeAdapter[int] = TypeAdapter(Annotated[int, Field(ge=0, le=LONGEST_CAPTION)])

_NAMES = {
    "num_beams": "num_beams",
    "max_new_tokens": "max_length",
    "length_penalty": "length_penalty",
    "no_repeat_ngram_size": "no_repeat_ngram",
}
"""transformers' name to ours."""


def decode_defaults(generation: Mapping[str, Any], method: DecodeDefaults) -> DecodeDefaults:
    """Return a method's decode defaults with what a checkpoint says in their place.

    Checkpoints carry what their authors used for other ends: it stops no import. Longest captions
    are cut to `LONGEST_DEFAULT`; for what nobody may ask for the method's holds, as the log says.

    Args:
        generation: values by transformers' names; the end token counts in `max_new_tokens`, what
            is None is not said, and neither is one beam, which is there where nobody chose.
        method: holds where `generation` is silent.
    """
    given: dict[str, Any] = {}
    for theirs, ours in _NAMES.items():
        value = generation.get(theirs)
        if value is None or (ours == "num_beams" and value == 1):
            continue
        if ours == "max_length" and isinstance(value, int):
            value = min(value, LONGEST_DEFAULT)
        try:
            if ours in CaptionOptions.model_fields:
                asked = CaptionOptions.model_validate({ours: value})
                given[ours] = getattr(asked, ours)
            else:
                given[ours] = _SIZE.validate_python(value)
        except ValidationError as error:
            why, kept = error.errors()[0]["msg"], getattr(method, ours)
            logger.warning("%s: %s %r: %s; %s holds", FILE_NAME, theirs, value, why, kept)
    return method.model_copy(update=given)
