"""The confidences at which the web page's words for it change."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.conftest import write_shapes
from training.confidence_levels import Judged, main, table, thresholds


def test_levels_begin_where_captions_are_half_as_good_as_good_and_twice_as_good() -> None:
    # CIDEr is 1 on average: 0.2 and 0.4 (falling now and then), 0.6, 1.0 and 3.0.
    judged = [
        Judged(confidence / 100, cider)
        for confidence, cider in [
            (10, 0.4), (11, 0.0), (20, 0.2), (25, 0.6),
            (30, 0.8), (31, 0.4), (40, 1.0), (41, 1.0),
            (60, 3.0), (50, 2.6),
        ]
    ]  # fmt: skip
    assert sum(one.cider for one in judged) == pytest.approx(10)
    assert thresholds(judged) == [0.25, 0.4, 0.5]
    assert thresholds(judged[::-1]) == [0.25, 0.4, 0.5]
    assert table(judged).splitlines() == [
        "10 captions, CIDEr 1.000",
        "  from 0.00:  30% of them, CIDEr 0.20,  33% below 0.2",
        "  from 0.25:  30% of them, CIDEr 0.60,   0% below 0.2",
        "  from 0.40:  20% of them, CIDEr 1.00,   0% below 0.2",
        "  from 0.50:  20% of them, CIDEr 2.80,   0% below 0.2",
    ]


def test_a_level_that_no_caption_reaches_is_none() -> None:
    assert thresholds([Judged(0.1, 1.0), Judged(0.9, 1.0)]) == [0.1, 0.1, None]


def test_the_command(tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_shapes(tmp_path / "shapes")
    assert main(["--model", str(tiny_model), "--data", str(data)]) == 0
    assert capsys.readouterr().out.startswith("12 captions, CIDEr ")
    assert main(["--model", str(tiny_model), "--data", str(tmp_path)]) == 2
