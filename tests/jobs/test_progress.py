"""What is said of the way so far."""

from __future__ import annotations

import logging

import pytest

from jobs.progress import Progress


def test_rate_and_time_left(caplog: pytest.LogCaptureFixture) -> None:
    # Made, then four updates.
    clock = iter((0.0, 20.0, 22.0, 24.0, 26.0)).__next__
    progress = Progress(total=1000, before=100, every=5.0, clock=clock)
    with caplog.at_level(logging.INFO):
        for done in (16, 36, 56, 76):
            progress.update(done, bad=1)
    assert caplog.messages == [
        "176 of 1,000 pictures, 10.0 a second, 1 bad, 1:22 left",
    ]
    assert progress.summary() == "76 pictures, 1 of them bad, 10.0 a second; 100 were there before"


def test_without_a_total_there_is_no_time_left(caplog: pytest.LogCaptureFixture) -> None:
    progress = Progress(total=None, before=0, every=1.0, clock=iter((0.0, 1.0, 3.0)).__next__)
    with caplog.at_level(logging.INFO):
        for done in (10, 30):
            progress.update(done, bad=0)
    assert caplog.messages[-1] == "30 pictures, 10.0 a second, 0 bad"
    assert (
        Progress(None, 0).summary()
        == "0 pictures, 0 of them bad, 0.0 a second; 0 were there before"
    )
