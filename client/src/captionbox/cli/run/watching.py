"""The run of `captionbox watch`: goes on until it is told to stop, whatever the server does."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from typing import TYPE_CHECKING

from captionbox.cli.output.endings import Fault, fault_of, of_image, sentence
from captionbox.cli.output.formats import Record
from captionbox.cli.run.pace import Pace
from captionbox.cli.run.progress import Reporter
from captionbox.cli.run.run import Sink, Stop, keep
from captionbox.cli.run.tally import Tally
from captionbox.cli.sources.arrivals import Arrivals

if TYPE_CHECKING:
    from captionbox.async_client import AsyncCaptionbox
    from captionbox.options import CaptionOptions

_FIRST_PAUSE = 2.0
_LONGEST_PAUSE = 60.0


async def watch(
    client: AsyncCaptionbox,
    arrivals: Arrivals,
    sink: Sink,
    report: Reporter,
    tally: Tally,
    stop: Stop,
    options: CaptionOptions,
    *,
    written: Callable[[Record], None],
) -> None:
    """Caption every picture that arrives, and record what became of it.

    Args:
        client: asks the server.
        arrivals: gives the pictures, and is told what became of them.
        sink: gets the records.
        report: is told of failures.
        tally: counts; what the server could not do now is asked again and is no failure.
        stop: ends it; is set where the server refuses every request.
        options: how to caption.
        written: is told of every record that was kept.
    """
    pace, pause = Pace(None), _FIRST_PAUSE
    outcomes = client.caption_many(
        arrivals.come(stop.event),
        concurrency=pace.requests,
        batch_size=pace.size,
        ordered=False,
        **options,
    )
    async with aclosing(outcomes):
        async for outcome in outcomes:
            pace.see(outcome.result)
            record = Record(outcome.image, outcome.result, outcome.error)
            fault = None if outcome.error is None else fault_of(outcome.error)
            if outcome.error is not None and fault is Fault.REQUEST:
                tally.bad(outcome.error)
                stop.event.set()
            elif outcome.error is not None and fault is not Fault.IMAGE:
                if pause == _FIRST_PAUSE:
                    report.say(f"captionbox: {sentence(outcome.error)}; asking again")
                arrivals.again(outcome.image, pause)
                pause = min(_LONGEST_PAUSE, 2 * pause)
                continue
            else:
                pause = _FIRST_PAUSE
                _keep(record, sink, report, tally, written)
            arrivals.done(outcome.image)


def _keep(
    record: Record, sink: Sink, report: Reporter, tally: Tally, written: Callable[[Record], None]
) -> None:
    """Record what became of a picture; count and report it."""
    if record.error is not None:
        report.say(of_image(record.source, record.error))
        tally.bad(record.error)
    if keep(record, sink, report, tally):
        written(record)
