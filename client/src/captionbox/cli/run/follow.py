"""Takes outcomes one by one: counts and reports failures, ends when going on makes no sense."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing

from captionbox.cli.output.endings import Fault, of_image, sentence
from captionbox.cli.run.progress import Reporter
from captionbox.cli.run.tally import Tally
from captionbox.outcomes import Outcome
from captionbox.results import CaptionResult


def follow(
    outcomes: Generator[Outcome[str], None, None], tally: Tally, report: Reporter
) -> Iterator[tuple[str, CaptionResult | None]]:
    """Yield images and their results, None for failures, until the end or a reason to stop.

    Args:
        outcomes: of `caption_many`; closed at the end.
        tally: gets the failures; who takes the results counts them.
        report: is told of failures and progress, and of the reason to stop.
    """
    with closing(outcomes):
        for outcome in outcomes:
            if outcome.error is not None:
                fault = tally.bad(outcome.error)
                if tally.stopped_by is not None:
                    report.say(f"captionbox: {sentence(tally.stopped_by)}")
                    return
                if fault in (Fault.IMAGE, Fault.SERVER_ILL):
                    report.say(of_image(outcome.image, outcome.error))
            yield outcome.image, outcome.result
            report.advance()
