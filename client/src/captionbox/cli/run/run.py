"""The run of `captionbox caption`: asks for several images at a time, records each answer at once.

Stops gently on SIGINT and SIGTERM: what is on its way is waited for and recorded.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterable, Iterator
from contextlib import aclosing, contextmanager, suppress
from typing import TYPE_CHECKING, Protocol

from captionbox.cli.output.endings import ExitCode, Fault, of_image, sentence
from captionbox.cli.output.formats import LineFormat, Past, Record
from captionbox.cli.output.part_file import UnwritableError
from captionbox.cli.run.pace import Pace
from captionbox.cli.run.progress import Reporter
from captionbox.cli.run.tally import Tally

if TYPE_CHECKING:
    from captionbox.async_client import AsyncCaptionbox
    from captionbox.options import CaptionOptions


class Sink(Protocol):
    """Where records go."""

    def past(self, source: str) -> Past:
        """Return what earlier runs made of an image."""

    def write(self, record: Record) -> None:
        """Keep a record."""

    def close(self) -> None:
        """Finish."""


class StandardOutput:
    """Records on standard output, one line each, at once."""

    def __init__(self, lines: LineFormat) -> None:
        self._lines = lines
        if lines.header is not None:
            self._put(lines.header)

    def past(self, source: str) -> Past:
        """Nothing is known of what was printed before."""
        return Past.NEW

    def write(self, record: Record) -> None:
        """Print a record."""
        self._put(self._lines.line(record))

    def close(self) -> None:
        """Nothing to do."""

    def _put(self, line: str) -> None:
        sys.stdout.buffer.write(line.encode("utf-8", "surrogateescape") + b"\n")
        sys.stdout.buffer.flush()


class Stop:
    """Whether the run is to end early.

    Attributes:
        event: set when no further image is to be asked for.
        code: exit code, where a signal said so.
    """

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self.code: ExitCode | None = None

    @contextmanager
    def attended(self, report: Reporter, tally: Tally) -> Iterator[None]:
        """Listen while the block runs; tell at its end why the server was asked no more."""
        self.listen(report)
        try:
            yield
        except asyncio.CancelledError:
            if self.code is None:
                raise
        if tally.stopped_by is not None:
            report.say(f"captionbox: {sentence(tally.stopped_by)}")

    def listen(self, report: Reporter) -> None:
        """End gently on the first SIGINT or SIGTERM, at once on the second. For a running task."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()

        def on_signal(code: ExitCode) -> None:
            if self.code is not None and task is not None:
                task.cancel()
                return
            self.code = code
            self.event.set()
            report.remark("finishing what is on its way; once more to stop at once")

        with suppress(NotImplementedError):  # Windows: KeyboardInterrupt ends the run at once
            loop.add_signal_handler(signal.SIGINT, on_signal, ExitCode.INTERRUPTED)
            loop.add_signal_handler(signal.SIGTERM, on_signal, ExitCode.TERMINATED)


async def run(
    client: AsyncCaptionbox,
    sources: AsyncIterable[str],
    sink: Sink,
    report: Reporter,
    tally: Tally,
    stop: Stop,
    options: CaptionOptions,
    *,
    pace: Pace,
    ordered: bool,
    tell_failures: bool,
) -> None:
    """Caption every source, and record what became of it.

    Args:
        client: asks the server.
        sources: images to be asked for.
        sink: gets the records.
        report: is told of progress and failures.
        tally: counts; says when the server is not worth asking any more.
        stop: is set then; ends `sources`.
        options: how to caption.
        pace: how many requests are in progress at once, and how many images share one.
        ordered: record in the order of the sources; otherwise as answers come, so that least is
            lost when the process is killed.
        tell_failures: tell `report` of images that failed; not where their records are seen there.
    """
    outcomes = client.caption_many(
        sources, concurrency=pace.requests, batch_size=pace.size, ordered=ordered, **options
    )
    async with aclosing(outcomes):
        async for outcome in outcomes:
            pace.see(outcome.result)
            record = Record(outcome.image, outcome.result, outcome.error)
            fault = None if outcome.error is None else tally.bad(outcome.error)
            # The reason to stop is told at the end, once.
            ill = fault is Fault.SERVER_ILL and tally.stopped_by is None
            if outcome.error is not None and (ill or (fault is Fault.IMAGE and tell_failures)):
                report.say(of_image(outcome.image, outcome.error))
            if fault is None or fault is Fault.IMAGE:
                keep(record, sink, report, tally)
            report.advance()
            if tally.stopped_by is not None:
                stop.event.set()


def keep(record: Record, sink: Sink, report: Reporter, tally: Tally) -> bool:
    """Write a record, whose failure is counted already; tell and count. Whether it is written."""
    good = record.error is None
    try:
        sink.write(record)
    except UnwritableError as error:
        report.say(f"{record.source}: {error}")
        tally.failed += good
        return False
    if good:
        tally.good()
    return True
