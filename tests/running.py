"""How the tests run: side by side, with word of how far they are and of what was left out.

A pytest plugin, named in pyproject.toml. `make test` gives `-n auto`: this decides how many
processes that is here. A file's tests stay in one of them, so that they share what a module has;
the files that take longest come first, so that no process waits for another one in the end. `-n 0`
runs them one after the other.

    .venv/bin/python -m pytest -n auto -m "not (slow or load or gpu or deploy)" --record-seconds

writes down anew how long they take.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from pathlib import Path

import pytest
from _pytest.terminal import TerminalReporter

from serving.base.machine import available_cores, available_memory

_BYTES_A_PROCESS = 3 * 1024**3
"""What a process of tests and the servers it has started may take."""

_RECORD = Path(__file__).with_name("seconds.json")
"""Files that take some seconds or more, and how many on a machine of two cores."""

_WORTH_RECORDING = 4.0

_SHORT = 0.05
"""Seconds of a test that is not worth recording."""

_SECONDS = 30.0
"""Between two lines about the progress."""


@pytest.hookimpl(tryfirst=True)  # xdist has an answer of its own
def pytest_xdist_auto_num_workers() -> int:
    """Return how many processes run tests: one more than cores, for servers are waited for."""
    return max(1, min(available_cores() + 1, available_memory() // _BYTES_A_PROCESS))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that records how long files take."""
    parser.addoption("--record-seconds", action="store_true", help=f"write {_RECORD.name}")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take longest first, and otherwise leave the order as it is."""
    seconds = _recorded()
    items.sort(key=lambda item: -seconds.get(_file_of(item.nodeid), 0.0))


def _recorded() -> dict[str, float]:
    seconds: dict[str, float] = json.loads(_RECORD.read_text(encoding="utf-8"))
    return seconds


def _file_of(nodeid: str) -> str:
    return nodeid.partition("::")[0]


class SecondsRecorder:
    """Adds up how long the tests of each file take, and writes it down in the end."""

    def __init__(self) -> None:
        self._seconds: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count one phase of a test."""
        self._seconds[_file_of(report.nodeid)] += report.duration  # type: ignore[assignment]

    def pytest_sessionfinish(self) -> None:
        """Write the record."""
        long = {name: round(s) for name, s in self._seconds.items() if s >= _WORTH_RECORDING}
        ordered = dict(sorted(long.items(), key=lambda item: (-item[1], item[0])))
        _RECORD.write_text(json.dumps(ordered, indent=0) + "\n", encoding="utf-8")


class Progress:
    """Tells how far the tests are, in a line of its own now and then."""

    def __init__(self, reporter: TerminalReporter) -> None:
        self._reporter, self._done = reporter, 0
        self._costs: dict[str, float] = {}
        self._whole = self._spent = 0.0
        self._began = self._told = time.monotonic()

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """Learn which tests there are: the process that prints collects none itself."""
        if not self._costs:
            self._learn(ids)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Learn which tests there are, where they run in this very process."""
        if session.items:
            self._learn([item.nodeid for item in session.items])

    def _learn(self, ids: list[str]) -> None:
        self._costs = costs_of(ids)
        self._whole = sum(self._costs.values())

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Count a test; tell."""
        self._done += 1
        self._spent += self._costs.get(nodeid, 0.0)
        now = time.monotonic()
        if now < self._told + _SECONDS or not 0 < self._spent < self._whole:
            return
        self._told, minutes = now, (now - self._began) / 60
        self._reporter.write_line("")
        self._reporter.write_line(
            f"==> {self._done:,} of {len(self._costs):,} tests after {minutes:.1f} min, "
            f"about {minutes * (self._whole / self._spent - 1):.0f} min to go"
        )


def costs_of(ids: list[str]) -> dict[str, float]:
    """Return how many seconds each test is likely to take, by the record of its file."""
    seconds = _recorded()
    sizes = Counter(map(_file_of, ids))
    return {one: seconds.get(_file_of(one), 0.0) / sizes[_file_of(one)] + _SHORT for one in ids}


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Watch the progress, in the process that prints."""
    reporter = config.pluginmanager.getplugin("terminalreporter")
    if reporter is not None and "PYTEST_XDIST_WORKER" not in os.environ:
        config.pluginmanager.register(Progress(reporter), "captionbox-progress")
        if config.getoption("--record-seconds"):
            config.pluginmanager.register(SecondsRecorder(), "captionbox-seconds")


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Say what was left out, and what would have it run: every reason to skip names it."""
    reasons: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", []):
        where = report.longrepr
        reason = where[2] if isinstance(where, tuple) else str(where)
        reasons[reason.removeprefix("Skipped: ")] += 1
    if not reasons:
        return
    terminalreporter.section("left out")
    for reason, count in sorted(reasons.items()):
        terminalreporter.write_line(f"{count:4d}  {reason}")
