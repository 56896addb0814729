"""Options: limits and combinations."""

import pytest
from pydantic import ValidationError

from models.api.options import CaptionOptions, UnsupportedOptionError, check_honoured


@pytest.mark.parametrize(
    ("field", "low", "high"),
    [
        ("num_captions", 1, 10),
        ("num_beams", 1, 8),
        ("max_length", 4, 64),
        ("length_penalty", -2, 5),
    ],
)
def test_limits(field: str, low: int, high: int) -> None:
    CaptionOptions(**{field: low})
    CaptionOptions(**{field: high})
    for value in (low - 1, high + 1):
        with pytest.raises(ValidationError, match=field):
            CaptionOptions(**{field: value})


@pytest.mark.parametrize("value", [0, -1, 5.1, float("nan"), float("inf")])
def test_temperature_is_positive_and_finite(value: float) -> None:
    with pytest.raises(ValidationError, match="temperature"):
        CaptionOptions(temperature=value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top_p": 0.9}, "top_p applies to sampling"),
        ({"seed": 1}, "seed applies to sampling"),
        ({"temperature": 1.0, "num_beams": 3}, "sampling and num_beams for beam search"),
        ({"num_captions": 4, "num_beams": 2}, "num_captions 4 needs num_beams"),
        ({"beams": 3}, "beams"),
    ],
)
def test_contradictions_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        CaptionOptions(**options)


def test_equal_options_hash_alike_to_share_a_batch() -> None:
    assert len({CaptionOptions(num_beams=3), CaptionOptions(num_beams=3), CaptionOptions()}) == 2


def test_an_option_that_cannot_be_honoured_is_named() -> None:
    with pytest.raises(UnsupportedOptionError, match="'x' cannot honour the option 'prompt'"):
        check_honoured(CaptionOptions(prompt="hi"), "x", frozenset({"num_beams"}))


def test_no_attention_is_no_request() -> None:
    check_honoured(CaptionOptions(attention=False), "x", frozenset())
