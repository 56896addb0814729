"""How much is asked for at once."""

from __future__ import annotations

from captionbox import CaptionResult
from captionbox.cli.run.pace import Pace

from tests.client.stand_in import answer_to


def answered(seconds: float) -> CaptionResult:
    timing = {"decode": 1.0, "queue": 0.0, "inference": seconds * 1000}
    return CaptionResult.model_validate(answer_to(b"") | {"timing_ms": timing})


def test_quick_answers_fill_requests_slow_ones_do_not() -> None:
    pace = Pace(None)
    assert (pace.requests, pace.size()) == (8, 1)
    for _ in range(5):
        pace.see(answered(0.1))
    assert pace.size() == 4
    pace.see(None)
    pace.see(answered(2.0))
    assert pace.size() == 4
    for _ in range(5):
        pace.see(answered(20.0))
    assert pace.size() == 1


def test_of_few_pictures_every_request_gets_its_part() -> None:
    pace = Pace(None, total=40)
    for _ in range(3):
        pace.see(answered(0.1))
    sizes = [pace.size() for _ in range(10)]
    assert sizes == [2, 2, 2, 2, 2, 1, 1, 1, 1, 1]


def test_a_number_that_is_given_is_kept() -> None:
    pace = Pace(3)
    pace.see(answered(0.1))
    assert (pace.requests, pace.size()) == (3, 1)
