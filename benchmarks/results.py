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

from benchmarks.tools.workspace import DEFAULT_FOLDER
from training.export.charts import bars

HERE = Path(__file__).resolve().parent

_HEAD = """# How fast

Written by `make bench`; `make bench-quick` does the core of it in six minutes. All numbers of a
table come from one run on one machine, in which every stack or server had its turn, round after
round; a ratio is the median over the rounds. Compare ratios, not milliseconds, and runs with as
many threads.
"""

_MODEL = """## The model by itself

ViT-GPT2 at its true size (239 million weights), random weights, {tokens} tokens forced, from pixels
to tokens, {threads} thread(s), times by the {clock} clock, {rounds} round(s). {turn}
How many times as fast as plain transformers `generate()` in float32 (for which: time a caption):

{table}

The optimum rows are its own classes as their users get them, int8 by its own quantisers. Captionbox
chooses among its precisions by itself ([performance](../docs/performance.md)).

Our fp32: the faster of the two. Same tokens: the share of transformers' tokens that it produced
too. Against optimum: our best against the best of its four.

| task | our best | our fp32 | same tokens | against optimum |
| --- | --- | --- | --- | --- |
{summary}

![as a plot](model_level.svg)
"""

_ONCE = "In its turn a stack does a task once."

_WARM = """In its turn a stack does
a task for {:g} s at least, and its first time counts only if it is the only one."""

_SERVER = """## Servers

The same ViT-GPT2 (4 beams, 16 tokens, as its model card says) over HTTP, {pictures} JPEG files,
{threads} thread(s) for the model, closed loop, medians of the rounds. Rates as multiples of
{baseline}'s at as many clients; processor time and memory are those of all the server's processes,
shared pages counted once a process.

{table}
{others}{saturation}{alone}
"""

_SATURATION = """
{name}, in turn: {server:.2f} captions a second with {clients} clients, {alone:.2f} the model alone
in batches of 16; the server gives {share:.0%} of the model.
"""

_OPEN = """
Requests that leave at a fixed rate, whatever happens (one run; a request that is answered late
counts from when it was due):

{table}
"""

_LARGE = """
JPEG files of 12 megapixels, closed loop, one run:

{table}
"""

_COMPACT = """## `compact` over HTTP

The embedded model, beam 3, {pictures} JPEG files, the server on {threads} cores, the client on
others.

{table}

One client, one picture after the other, medians: {decode_ms:.1f} ms to decode the picture,
{inference_ms:.1f} ms to compute; everything else, from the first byte sent to the last received,
{rest_ms:.1f} ms.
{alone}"""

_GROWTH = """## Growth

ViT-GPT2 in {precision}, captions a second as multiples of one picture at a time, greedy, on one
thread; times by the {clock} clock, medians of {rounds} round(s).

{table}
"""

_SERVER_GROWTH = """### `compact` over HTTP, with more processes and larger pictures

Engine processes x threads of each on {cores} cores, the clients on the same; {precision},
{pictures} JPEG files, medians of {rounds} round(s) of {seconds:g} s, all servers in turn:

{processes}

JPEG files of other sizes, {sizes_at}:

{sizes}
"""

_COLOURS = {"captionbox": "#0b6b62", "transformers": "#9a9a9a", "optimum": "#b4441f"}
"""Of bars, by the first word of what they are."""
_OTHER = "#4553a5"

_SERVER_BASELINE = "FastAPI + transformers"

_PACE = ("captions a second", "p50 ms", "p95 ms", "p99 ms", "CPU ms a caption")


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
    colours = [_COLOURS.get(name.split()[0], _OTHER) for name in found["names"]]
    plot = bars(title, found["names"], found["ratios"], colours)
    (folder / "model_level.svg").write_text(plot, encoding="utf-8")
    run = found["run"]
    turn = _ONCE if not run["turn_seconds"] else _WARM.format(run["turn_seconds"])
    return _MODEL.format(**run, turn=turn, table=markdown(found["rows"]), summary=summary)


def server_level(found: dict[str, Any], _: Path) -> str:
    """Return the section on ViT-GPT2 servers."""
    others = ""
    if found.get("rates"):
        others += _OPEN.format(
            table=_servers(found["rates"], "requests a second", "answers a second")
        )
    if found.get("large"):
        others += _LARGE.format(table=_servers(found["large"], "clients", "rate"))
    return _SERVER.format(
        pictures=found["pictures"],
        threads=found["threads"],
        baseline=_SERVER_BASELINE,
        table=_servers(found["clients"], "clients", "rate"),
        others=others,
        saturation="".join(
            _SATURATION.format(name=name, clients=max(map(int, found["clients"])), **share)
            for name, share in found.get("saturation", {}).items()
        ),
        alone=_alone(found),
    )


def _servers(loads: dict[str, Any], load: str, rate: str) -> str:
    """Return a table of runs, `rate` in multiples of the baseline's if it is called so."""
    rows = [[load, "server", rate, "p50 s", "p95 s", "p99 s", "CPU s a caption", "peak MB"]]
    for amount, by_name in loads.items():
        unit = by_name[_SERVER_BASELINE]["per_second"] if rate == "rate" else 1.0
        for name, run in by_name.items():
            seconds = [f"{run[key] / 1000:.2f}" for key in ("p50_ms", "p95_ms", "p99_ms", "cpu_ms")]
            speed = f"{run['per_second'] / unit:.2f}" if unit else "no answer in time"
            rows.append([amount, name, speed, *seconds, f"{run['peak_mb']:.0f}"])
    return markdown(rows)


def compact(found: dict[str, Any], _: Path) -> str:
    """Return the section on the embedded model."""
    rows = [["clients", *_PACE]]
    for clients, by_name in found["clients"].items():
        rows += [[clients, *_pace(run)] for run in by_name.values()]
    return _COMPACT.format(
        pictures=found["pictures"],
        threads=found["threads"],
        table=markdown(rows),
        alone=_alone(found),
        **found["one_client"],
    )


def growth(found: dict[str, Any], _: Path) -> str:
    """Return the section on threads, batches and beams."""
    return _GROWTH.format(**found, table=markdown(found["rows"]))


def server_growth(found: dict[str, Any], _: Path) -> str:
    """Return the section on engine processes and the pictures' size."""
    rows = [["clients", "processes x threads", *_PACE]]
    for clients, by_title in found["processes"].items():
        rows += [[clients, title, *_pace(run)] for title, run in by_title.items()]
    larger = [["pictures", "clients", *_PACE]]
    for size, by_clients in found["sizes"].items():
        for clients, by_title in by_clients.items():
            larger += [[size, clients, *_pace(run)] for run in by_title.values()]
    tables = {"processes": markdown(rows), "sizes": markdown(larger)}
    return _SERVER_GROWTH.format(**{**found, **tables})


def _pace(run: dict[str, float]) -> list[str]:
    times = (f"{run[key]:.0f}" for key in ("p50_ms", "p95_ms", "p99_ms", "cpu_ms"))
    return [f"{run['per_second']:.1f}", *times]


def _alone(found: dict[str, Any]) -> str:
    return "".join(
        f"\nThe model alone, batch {batch}: {run['per_second']:.2f} captions a second, "
        f"{run['cpu_ms']:.0f} ms of processor time each, {run['p50_ms']:.0f} ms a batch.\n"
        for batch, run in found["bare"].items()
    )


SECTIONS = {
    "model_level": model_level,
    "growth": growth,
    "server_growth": server_growth,
    "server_level": server_level,
    "compact": compact,
}
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
