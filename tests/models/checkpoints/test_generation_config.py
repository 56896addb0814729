"""Decode defaults from what a checkpoint says of generation."""

import pytest

from models.api.options import DecodeDefaults
from models.checkpoints.generation_config import decode_defaults
from models.checkpoints.pretrained import ModelImportError

METHOD = DecodeDefaults(num_beams=3, max_length=24, length_penalty=0.5)


def test_what_is_said_holds_and_what_is_not_stays() -> None:
    said = {"num_beams": 5, "max_new_tokens": 20, "no_repeat_ngram_size": 3, "length_penalty": None}
    assert decode_defaults(said, METHOD, strict=True) == METHOD.model_copy(
        update={"num_beams": 5, "max_length": 20, "no_repeat_ngram": 3}
    )
    assert decode_defaults({}, METHOD, strict=True) == METHOD


@pytest.mark.parametrize(
    "said", [{"num_beams": 500}, {"max_new_tokens": 3}, {"length_penalty": "long"}]
)
def test_what_nobody_may_ask_for(said: dict[str, object]) -> None:
    assert decode_defaults(said, METHOD, strict=False) == METHOD
    with pytest.raises(ModelImportError, match=r"generation_config\.json: Input should"):
        decode_defaults(said, METHOD, strict=True)
