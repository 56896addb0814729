"""Writes `RESULTS.md` and its plots from the numbers that the benchmarks have left.

    python -m benchmarks.results [--folder benchmarks/.work]

Text by hand, such as profiles, is in `notes.md` and comes last.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.plot import bars
from benchmarks.workspace import DEFAULT_FOLDER

HERE = Path(__file__).resolve().parent

_HEAD = """# How fast

Written by `make bench`; `make bench-quick` does the core of it in five minutes. All numbers of a
table come from one run on one machine, in which every stack did every task in turn, round after
round; a ratio is the median over the rounds. Compare ratios, not milliseconds: on your machine all
of them differ, and the ratios hardly.
"""

_MODEL = """## The model by itself

ViT-GPT2 at its true size (239 million weights), random weights, {tokens} tokens forced, from pixels
to tokens, {threads} thread(s), times by the {clock} clock, {rounds} rounds. How many times as fast
as plain transformers `generate()` in float32 (for which: time a caption):

{table}

The optimum rows are its own classes as their users get them, int8 by its own quantisers. Captionbox
chooses among its precisions by itself ([performance](../docs/performance.md)).

Same tokens: the share of transformers' tokens that our fp32 produced too. Against optimum: our best
against the best of its four.

| task | our best | our fp32 | same tokens | against optimum |
| --- | --- | --- | --- | --- |
{summary}

![as a plot](model_level.svg)
"""


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Return a header and rows as a table."""
    lines = [" | ".join(row) for row in (rows[0], ["---"] * len(rows[0]), *rows[1:])]
    return "\n".join(f"| {line} |" for line in lines)


def model_level(found: dict[str, Any], folder: Path) -> str:
    """Return the section on the model by itself; writes its plot to `folder`."""
    summary = "\n".join(
        f"| {title} | {entry['best']:.2f} | {entry['fp32']:.2f} | {entry['same_tokens']:.0%} | "
        + (f"{entry['peers']:.2f} |" if "peers" in entry else "not installed |")
        for title, entry in found["summary"].items()
    )
    title = "times as fast as transformers fp32"
    plot = bars(title, found["names"], found["ratios"])
    (folder / "model_level.svg").write_text(plot, encoding="utf-8")
    return _MODEL.format(**found["run"], table=markdown(found["rows"]), summary=summary)


SECTIONS = {"model_level": model_level}
"""By the name of the file of numbers."""


def write(numbers: Path, target: Path) -> None:
    """Write `RESULTS.md` and plots to `target` from the JSON files in `numbers`."""
    parts = [_HEAD]
    for name, section in SECTIONS.items():
        path = numbers / f"{name}.json"
        if path.is_file():
            parts.append(section(json.loads(path.read_text(encoding="utf-8")), target))
    notes = HERE / "notes.md"
    if notes.is_file():
        parts.append(notes.read_text(encoding="utf-8"))
    (target / "RESULTS.md").write_text("\n".join(parts), encoding="utf-8")


def main() -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.results")
    parser.add_argument("--folder", type=Path, default=DEFAULT_FOLDER)
    write(parser.parse_args().folder, HERE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
