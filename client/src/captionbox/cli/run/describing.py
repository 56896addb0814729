"""The run of `captionbox xmp`: which images need a description, and writing it."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path

from captionbox.cli.output.formats import one_line
from captionbox.cli.output.policies import Existing
from captionbox.cli.run.follow import follow
from captionbox.cli.run.progress import Reporter
from captionbox.cli.run.tally import Tally
from captionbox.cli.texts.exiftool import Described, ExifTool, ExifToolError
from captionbox.cli.texts.marks import state_of
from captionbox.outcomes import Outcome

_NONE = Described((), "")


class Descriptions:
    """Descriptions in image files.

    Args:
        exiftool: writes them.
        existing: what is done about descriptions that are there.
        preserve_human: overwrite only what Captionbox wrote.
        prefix: goes before every caption.
        suffix: goes after it.
    """

    def __init__(
        self,
        exiftool: ExifTool,
        existing: Existing,
        preserve_human: bool,
        prefix: str = "",
        suffix: str = "",
    ) -> None:
        self._exiftool, self._existing = exiftool, existing
        self._preserve_human, self._prefix, self._suffix = preserve_human, prefix, suffix
        self._seen: dict[str, tuple[int, int] | None] = {}
        self._before: dict[str, Described] = {}

    def todo(self, sources: Sequence[str]) -> list[str]:
        """Return the images that are to be described."""
        self._seen = {source: state_of(Path(source)) for source in sources}
        if self._needs_a_look:
            self._before = self._exiftool.descriptions(sources)
        return [one for one in sources if not self._stays(self._before.get(one, _NONE))]

    def carry_out(
        self, outcomes: Generator[Outcome[str], None, None], tally: Tally, report: Reporter
    ) -> None:
        """Write a description for every outcome that has a caption; count and report."""
        for image, result in follow(outcomes, tally, report):
            if result is None:
                continue
            if self._needs_a_look and state_of(Path(image)) != self._seen[image]:
                self._before |= self._exiftool.descriptions([image])
                if self._stays(self._before.get(image, _NONE)):
                    tally.done_before += 1  # somebody has described it meanwhile
                    continue
            text = one_line(f"{self._prefix}{result.text}{self._suffix}")
            if self._existing is Existing.APPEND:
                old = [one for one in self._before.get(image, _NONE).texts if one.strip()]
                text = one_line(f"{old[0]} {text}") if old else text
            try:
                self._exiftool.describe(image, text, result.model)
                tally.good()
            except ExifToolError as error:
                report.say(f"{image}: {error}")
                tally.failed += 1

    @property
    def _needs_a_look(self) -> bool:
        """Whether it matters what is there."""
        return self._existing is not Existing.OVERWRITE or self._preserve_human

    def _stays(self, there: Described) -> bool:
        """Whether a file's descriptions are left as they are."""
        if self._existing is Existing.MISSING_ONLY:
            return any(text.strip() for text in there.texts)
        if self._existing is Existing.APPEND:
            return there.has_ours
        if self._existing is Existing.OVERWRITE:
            return self._preserve_human and there.is_written and not there.is_ours
        return there.is_written
