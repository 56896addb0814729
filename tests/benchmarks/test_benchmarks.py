"""The benchmarks' own code, end to end on networks that take milliseconds."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks import growth, model_level, overload, results, server_growth, server_level
from benchmarks.tools.load import Answer
from benchmarks.tools.pictures import SIZES
from benchmarks.tools.stack import Stack, StackError

SHORT = ("--tokens", "4", "--batches", "1", "2", "--seconds", "0")


@pytest.mark.long
def test_model_level_growth_and_their_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--tiny", "--only", "int8", "--without-optimum", "--threads", "1"]
    assert model_level.main([*options, *SHORT, "--folder", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    found = json.loads((tmp_path / "model_level.json").read_text())
    assert found["names"][:2] == ["transformers fp32", "captionbox fp32"]
    for title, entry in found["summary"].items():
        assert entry["same_tokens"] == 1.0, title
        assert entry["best"] >= entry["fp32"] > 0
        assert title in printed
    options = ["--tiny", "--threads", "1", "--batches", "1", "2", "--beams", "2", "--rounds", "1"]
    assert growth.main([*options, "--precision", "fp32", "--folder", str(tmp_path)]) == 0
    results.write(tmp_path, tmp_path)
    report = (tmp_path / "RESULTS.md").read_text()
    assert "| transformers fp32 | 1 (" in report
    assert "| 1 | 1 | 1.00 |" in report
    assert (tmp_path / "model_level.svg").read_text().count("<rect") > len(found["names"])


def test_overload_plot_tells_rates_times_and_memory() -> None:
    right = [Answer(quarter / 4, 0.0, "right") for quarter in range(40)]
    series = {"protected": (right, [100.0] * 11), "none": ([Answer(0.0, 1.0, "failed")], [100.0])}
    plot = overload.plot(series, 4.0, 10)
    lines = [line for line in plot.splitlines() if line.startswith("<polyline")]
    assert len(lines) == 6
    # Four answers a second all the time: a level line, at the height of the peak.
    mark = next(line for line in plot.splitlines() if 'class="mark"' in line)
    heights = {place.split(",")[1].rstrip('"/>') for place in lines[0].split('points="')[1].split()}
    assert heights == {mark.split('y1="')[1].split('"')[0]}
    assert lines[3].endswith('points=""/>'), "no right answer, no time"
    for words in ("right answers a second", "99th percentile", "MiB", "protected", "peak"):
        assert words in plot


def test_a_stack_that_dies_says_why(tmp_path: Path) -> None:
    program = "raise SystemExit('no such model here')"
    with pytest.raises(StackError, match="no such model here"):
        Stack("broken", [sys.executable, "-c", program], {}, tmp_path / "log")


@pytest.mark.slow
def test_server_level_and_its_report(tmp_path: Path) -> None:
    options = ["--tiny", "--threads", "1", "--clients", "2", "--rounds", "1", "--seconds", "3"]
    assert (
        server_level.main(
            [
                *options,
                "--rates",
                "2",
                "--parts",
                "peers",
                "open",
                "large",
                "--folder",
                str(tmp_path),
            ]
        )
        == 0
    )
    found = json.loads((tmp_path / "server_level.json").read_text())
    for kind, load in (("clients", "2"), ("rates", "2"), ("large", "16")):
        for name, run in found[kind][load].items():
            assert run["failures"] == 0, (kind, name)
            assert run["per_second"] > 0, (kind, name)
    assert found["saturation"]
    for name, shares in found["saturation"].items():
        assert 0 < shares["share"] == shares["server"] / shares["alone"], name
    results.write(tmp_path, tmp_path)
    report = (tmp_path / "RESULTS.md").read_text()
    assert "FastAPI + transformers" in report and "% of the model" in report


@pytest.mark.slow
def test_growth_of_a_server_and_its_report(tmp_path: Path) -> None:
    options = ["--clients", "2", "--rounds", "1", "--seconds", "2", "--cores", "1"]
    assert server_growth.main([*options, "--folder", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "server_growth.json").read_text())
    assert set(found["processes"]["2"]) == {"1 x 1", "2 x 1"}
    assert set(found["sizes"]) == set(SIZES)
    for loads in (found["processes"], *found["sizes"].values()):
        for title, run in loads["2"].items():
            assert run["failures"] == 0 and run["per_second"] > 0, title
    results.write(tmp_path, tmp_path)
    report = (tmp_path / "RESULTS.md").read_text()
    assert "| 2 | 2 x 1 |" in report and "| 12MP | 2 |" in report
