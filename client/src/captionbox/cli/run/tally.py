"""Counts what became of the images of a run, and says when to stop and with what exit code."""

from __future__ import annotations

from dataclasses import dataclass

from captionbox.cli.output.endings import ExitCode, Fault, exit_code, fault_of, is_about_address
from captionbox.cli.output.formats import Past
from captionbox.errors import CaptionboxError

_MOST_IN_A_ROW = 5


@dataclass
class Tally:
    """The count of a run.

    Attributes:
        captioned: images with a caption.
        failed: images that never work; recorded.
        unfinished: images that may work later; the next run asks again.
        done_before: images that earlier runs captioned.
        failed_before: images that earlier runs recorded as failed.
        stopped_by: the error that ended the run early, if one did.
    """

    captioned: int = 0
    failed: int = 0
    unfinished: int = 0
    done_before: int = 0
    failed_before: int = 0
    stopped_by: CaptionboxError | None = None
    _ill_in_a_row: int = 0

    @property
    def seen(self) -> int:
        """How many images there were."""
        done = self.captioned + self.failed + self.unfinished
        return done + self.done_before + self.failed_before

    def is_new(self, past: Past) -> bool:
        """Count an image that an earlier run dealt with; return whether none did."""
        self.done_before += past is Past.CAPTIONED
        self.failed_before += past is Past.FAILED
        return past is Past.NEW

    def good(self) -> None:
        """Count a caption."""
        self.captioned += 1
        self._ill_in_a_row = 0

    def bad(self, error: CaptionboxError) -> Fault:
        """Count an image without a caption, and return whose fault that is."""
        fault = fault_of(error)
        if fault is Fault.IMAGE:
            self.failed += 1
            self._ill_in_a_row = 0
            return fault
        self.unfinished += 1
        if fault is Fault.SERVER_ILL and is_about_address(error):
            return fault
        self._ill_in_a_row += 1
        if fault is not Fault.SERVER_ILL or self._ill_in_a_row >= _MOST_IN_A_ROW:
            self.stopped_by = self.stopped_by or error
        return fault

    def code(self) -> ExitCode:
        """Return the exit code for what happened."""
        if self.stopped_by is not None:
            return exit_code(self.stopped_by)
        if self.unfinished:
            return ExitCode.UNAVAILABLE
        return ExitCode.SOME_FAILED if self.failed or self.failed_before else ExitCode.OK

    def counts(self) -> dict[str, int]:
        """Return the count by name, for programs."""
        return {
            "captioned": self.captioned,
            "failed": self.failed,
            "unfinished": self.unfinished,
            "done_before": self.done_before,
            "failed_before": self.failed_before,
        }

    def summary(self) -> str:
        """Return the count in words."""
        counts = {
            "failed": self.failed,
            "to be asked again": self.unfinished,
            "done before": self.done_before,
            "failed before": self.failed_before,
        }
        parts = [f"{count} {what}" for what, count in counts.items() if count]
        return ", ".join([f"{self.captioned} captioned", *parts])
