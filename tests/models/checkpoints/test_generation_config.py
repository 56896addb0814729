"""Decode defaults from what a checkpoint says of generation."""

import pytest

from models.api.options import DecodeDefaults
from models.checkpoints.generation_config import LONGEST_DEFAULT, decode_defaults

METHOD = DecodeDefaults(num_beams=3, max_length=24, length_penalty=0.5)


def test_what_is_said_holds_and_what_is_not_stays() -> None:
    said = {"num_beams": 5, "max_new_tokens": 20, "no_repeat_ngram_size": 3, "length_penalty": None}
    assert decode_defaults(said, METHOD) == METHOD.model_copy(
        update={"num_beams": 5, "max_length": 20, "no_repeat_ngram": 3}
    )
    assert decode_defaults({}, METHOD) == METHOD


@pytest.mark.parametrize(
    "said",
    [
        {"num_beams": 500},
        {"max_new_tokens": 3},
        {"length_penalty": "long"},
        {"no_repeat_ngram_size": -1},
        {"max_new_tokens": [20]},
    ],
)
def test_what_nobody_may_ask_for(said: dict[str, object], caplog: pytest.LogCaptureFixture) -> None:
    assert decode_defaults(said, METHOD) == METHOD
    (message,) = caplog.messages
    (name,) = said
    assert message.startswith(f"generation_config.json: {name} ") and message.endswith(" holds")


def test_what_nobody_chose_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    found = decode_defaults({"num_beams": 1, "max_new_tokens": 1024}, METHOD)
    assert found == METHOD.model_copy(update={"max_length": LONGEST_DEFAULT})
    assert not caplog.messages
