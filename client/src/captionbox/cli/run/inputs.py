"""The images of a run: those that the command line names, and those that standard input does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from captionbox.cli.output.endings import UsageError
from captionbox.cli.sources.feeds import listed, standard_input
from captionbox.cli.sources.folders import Exclusions
from captionbox.cli.sources.lists import ListError
from captionbox.cli.sources.selection import is_since, sample
from captionbox.cli.sources.sources import expand, identity, once

if TYPE_CHECKING:
    from captionbox.cli.run.run import Sink, Stop
    from captionbox.cli.run.tally import Tally


@dataclass
class Inputs:
    """Images by what names them.

    Attributes:
        paths: as given: files, folders, patterns, URLs, `-`.
        recursive: whether folders in folders are searched.
        excluded: what is left out.
        null: whether null bytes end the lines of standard input.
        since: Unix time; images that were changed before are left out.
        limit: most images to be asked for.
        drawn: how many are drawn of all; None for all.
        named: the images that are known from the beginning.
    """

    paths: list[str]
    recursive: bool
    excluded: Exclusions
    null: bool = False
    since: float | None = None
    limit: int | None = None
    drawn: int | None = None
    named: list[str] = field(init=False)

    def __post_init__(self) -> None:
        if self.open and self.drawn is not None:
            raise UsageError("--sample draws from what is known, not from standard input")
        given = (one for path in self.paths if path != "-" for one in self._expand(path, True))
        found = list(once(given))
        if not found and not self.open:
            deeper = "" if self.recursive else "; --recursive searches the folders in it, too"
            raise UsageError(f"no images found in {', '.join(self.paths)}{deeper}")
        self.named = sample((one for one in found if is_since(one, self.since)), self.drawn)

    @property
    def open(self) -> bool:
        """Whether standard input is to name more."""
        return "-" in self.paths

    def todo(self, sink: Sink, tally: Tally) -> list[str]:
        """Return those named images that nobody has dealt with; count the others."""
        new = [source for source in self.named if tally.is_new(sink.past(source))]
        return new[: self.limit]

    async def as_they_come(self, sink: Sink, tally: Tally, stop: Stop) -> AsyncIterator[str]:
        """Yield what is to be asked for: what was named, then what arrives on standard input.

        Raises:
            UsageError: the list on standard input cannot be read.
        """
        seen: set[str] = set()
        asked = 0

        def new(sources: Iterable[str]) -> Iterator[str]:
            nonlocal asked
            for source in sources:
                if identity(source) in seen:
                    continue
                seen.add(identity(source))
                if tally.is_new(sink.past(source)):
                    asked += 1
                    yield source
                if asked == self.limit:
                    return

        async for source in listed(new(self.named), stop.event):
            yield source
        if not self.open or asked == self.limit:
            return
        try:
            async for line in standard_input(stop.event, self.null):
                named = (one for one in self._expand(line, False) if is_since(one, self.since))
                for source in new(named):
                    if stop.event.is_set():
                        return
                    yield source
                if asked == self.limit:
                    return
        except ListError as error:
            raise UsageError(str(error)) from error

    def _expand(self, argument: str, patterns: bool) -> Iterator[str]:
        return expand(argument, self.recursive, self.excluded, patterns=patterns)
