"""How the tests run: side by side, with word of how far they are and of what was left out.

A pytest plugin; `tests/conftest.py` names it. `make test` gives `-n auto`: this decides how many
processes that is here, and which tests share one. `-n 0` runs them one after the other.
"""

from __future__ import annotations

import os
import time
from collections import Counter

import pytest
from _pytest.terminal import TerminalReporter

from serving.base.machine import available_cores, available_memory

_BYTES_A_PROCESS = 3 * 1024**3
"""What a process of tests and the servers it has started may take."""

_SECONDS = 30.0
"""Between two lines about the progress."""


def pytest_xdist_auto_num_workers() -> int:
    """Return how many processes run tests: one more than cores, for servers are waited for."""
    return max(1, min(available_cores() + 1, available_memory() // _BYTES_A_PROCESS))


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give every test the group that one process runs: a server's tests, or a module's."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_shared_server(item) or item.nodeid.split("::")[0]))


def _shared_server(item: pytest.Item) -> str | None:
    """Return the name of the server of the whole session that a test uses, the rarer of two."""
    found = []
    for name, definitions in getattr(item, "_fixtureinfo").name2fixturedefs.items():  # noqa: B009
        is_server = name.endswith("server") and name != "start_server"
        if is_server and definitions and definitions[-1].scope == "session":
            found.append(name)
    return min(found, key=lambda name: (name == "server", name), default=None)


class Progress:
    """Tells how far the tests are, in a line of its own now and then."""

    def __init__(self, reporter: TerminalReporter) -> None:
        self._reporter, self._done = reporter, 0
        self._began = self._told = time.monotonic()

    def pytest_runtest_logfinish(self) -> None:
        """Count a test; tell."""
        self._done += 1
        total, now = self._reporter._numcollected, time.monotonic()
        if now < self._told + _SECONDS or not 0 < self._done < total:
            return
        self._told, minutes = now, (now - self._began) / 60
        self._reporter.write_line("")
        self._reporter.write_line(
            f"==> {self._done:,} of {total:,} tests after {minutes:.1f} min, "
            f"about {minutes * (total / self._done - 1):.0f} min to go"
        )


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Watch the progress, in the process that prints."""
    reporter = config.pluginmanager.getplugin("terminalreporter")
    if reporter is not None and "PYTEST_XDIST_WORKER" not in os.environ:
        config.pluginmanager.register(Progress(reporter), "captionbox-progress")


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
