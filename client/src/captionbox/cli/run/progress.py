"""What a person sees during a run: a bar on a terminal, nothing but failures in a pipe."""

from __future__ import annotations

import os
import sys
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, TextIO

from captionbox.cli.output.terminal import printable

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn, Task, TaskID
    from rich.text import Text


class Reporter(Protocol):
    """Tells a person how a run goes, on standard error."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End."""

    def advance(self) -> None:
        """One more is done."""

    def say(self, text: str) -> None:
        """Show a line that matters in a pipe, too."""

    def remark(self, text: str) -> None:
        """Show a line that matters to somebody who watches only."""


def same_place(one: TextIO, other: TextIO) -> bool:
    """Whether two streams go to the same terminal, file or pipe, so that both are read together."""
    try:
        return os.path.samestat(os.fstat(one.fileno()), os.fstat(other.fileno()))
    except (OSError, ValueError):  # closed, or no file at all
        return False


def reporter(what: str, total: int | None, *, bar: bool = True) -> Reporter:
    """Return a reporter for standard error.

    Args:
        what: the thing counted, in the plural.
        total: how many there will be, if known.
        bar: whether a bar may be drawn: not where results go to the same terminal.
    """
    if not sys.stderr.isatty():
        return _Plain(watched=False)
    return _Bar(what, total) if bar and total != 0 else _Plain(watched=True)


class _Plain:
    """Lines on standard error."""

    def __init__(self, watched: bool) -> None:
        self._watched = watched

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    def advance(self) -> None:
        pass

    def say(self, text: str) -> None:
        sys.stderr.write(f"{printable(text)}\n")
        sys.stderr.flush()

    def remark(self, text: str) -> None:
        if self._watched:
            self.say(text)


class _Bar:
    """A progress bar with rate and time left; lines appear above it."""

    def __init__(self, what: str, total: int | None) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self._progress: Progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _rate_column(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task: TaskID = self._progress.add_task(what, total=total)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def advance(self) -> None:
        self._progress.advance(self._task)

    def say(self, text: str) -> None:
        self._progress.console.print(printable(text), markup=False, highlight=False, soft_wrap=True)

    def remark(self, text: str) -> None:
        self.say(text)


def _rate_column() -> ProgressColumn:
    from rich.progress import ProgressColumn
    from rich.text import Text

    class RateColumn(ProgressColumn):
        """Things a second, lately."""

        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text(f"{speed:.1f}/s" if speed else "", style="progress.data.speed")

    return RateColumn()
