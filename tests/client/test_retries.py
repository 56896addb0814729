"""Pauses and `Retry-After`, without a network."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from captionbox.transport.retries import Backoff, retry_after_seconds
from hypothesis import given
from hypothesis import strategies as st

NOW = datetime(2025, 3, 1, 12, 0, tzinfo=UTC)


@given(
    tries=st.integers(1, 10_000),
    asked=st.none() | st.floats(0, 60),
    luck=st.floats(0, 1, exclude_max=True),
)
def test_a_pause_is_bounded_and_never_below_what_was_asked(
    tries: int, asked: float | None, luck: float
) -> None:
    pause = Backoff().wait(tries, asked, lambda: luck)
    assert pause is not None
    assert 0.25 <= pause <= 8 if asked is None else asked < pause <= asked + 2


def test_pauses_double() -> None:
    pauses = [Backoff().wait(tries, None, lambda: 1.0) for tries in range(1, 8)]
    assert pauses == [0.5, 1, 2, 4, 8, 8, 8]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("3", 3.0),
        (" 120 ", 120.0),
        ("0", 0.0),
        ("1.5", None),
        ("-3", None),
        ("²", None),
        ("9" * 400, float("inf")),
        ("Sat, 01 Mar 2025 12:00:30 GMT", 30.0),
        ("Saturday, 01-Mar-25 12:00:30 GMT", 30.0),
        ("Sat Mar  1 12:00:30 2025", 30.0),
        ("Sat, 01 Mar 2025 11:00:00 GMT", 0.0),
        ("soon", None),
        ("Sat, 99 Mar 2025 11:00:00 GMT", None),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(value, NOW) == seconds


@given(st.text(max_size=40))
def test_no_retry_after_is_too_odd(value: str) -> None:
    seconds = retry_after_seconds(value, NOW)
    assert seconds is None or seconds >= 0
