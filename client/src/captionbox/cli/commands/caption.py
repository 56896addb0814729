"""`captionbox caption`: captions for files, folders, patterns, lists and URLs."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from captionbox.cli.commands import arguments as given
from captionbox.cli.output.endings import UsageError, plain_endings
from captionbox.cli.output.format_names import Format, chosen_format

if TYPE_CHECKING:
    from captionbox.async_client import AsyncCaptionbox
    from captionbox.cli.run.run import Sink, Stop
    from captionbox.cli.run.tally import Tally
    from captionbox.cli.sources.folders import Exclusions
    from captionbox.options import CaptionOptions


def caption(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH",
            help="Files, folders, patterns, URLs, or - for a list on standard input, one a line.",
            show_default=False,
        ),
    ],
    output_format: Annotated[
        Format | None,
        typer.Option(
            "--format",
            "-f",
            help="How captions are written; by default what the ending of --out says, or text.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="File to write to, or folder for sidecars; otherwise standard output, sidecars "
            "next to their images.",
            show_default=False,
        ),
    ] = None,
    recursive: given.Recursive = False,
    exclude: given.Exclude = None,
    null: Annotated[
        bool,
        typer.Option(
            "--null", "-0", help="Names on standard input end with null bytes (find -print0)."
        ),
    ] = False,
    skip_existing: Annotated[
        bool,
        typer.Option(
            "--skip-existing/--no-skip-existing",
            help="Leave out images that the file or the sidecars already have; otherwise as "
            "--overwrite.",
        ),
    ] = True,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Begin anew: replace what the file or the sidecars have, corrected or not.",
        ),
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Ask again for images recorded as failed.")
    ] = False,
    concurrency: given.Concurrency = 8,
    model: given.Model = None,
    num_captions: given.NumCaptions = None,
    num_beams: given.NumBeams = None,
    max_length: given.MaxLength = None,
    length_penalty: given.LengthPenalty = None,
    temperature: given.Temperature = None,
    top_p: given.TopP = None,
    seed: given.Seed = None,
    prompt: given.Prompt = None,
    attention: given.Attention = False,
    rerank: given.Rerank = False,
    base_url: given.BaseUrl = None,
    api_key: given.ApiKey = None,
    timeout: given.Timeout = 60.0,
    max_retries: given.MaxRetries = None,
) -> None:
    """Caption images.

    With --out the run can be interrupted or killed at any time and taken up again by the same
    command: images that are in the file already are not asked for again.
    """
    options: CaptionOptions = {
        "model": model,
        "num_captions": num_captions,
        "num_beams": num_beams,
        "max_length": max_length,
        "length_penalty": length_penalty,
        "temperature": temperature,
        "top_p": top_p,
        "seed": seed,
        "prompt": prompt,
        "attention": attention or None,
        "rerank": rerank or None,
    }
    with plain_endings():
        import asyncio

        from captionbox.cli.sources.folders import Exclusions

        lines = chosen_format(output_format, out)
        client = given.make_async_client(base_url, api_key, timeout, max_retries)
        inputs = _Inputs(paths, recursive, Exclusions(exclude or ()), null)
        inputs.check()
        sink = _open_sink(lines, out, skip_existing and not overwrite, retry_failed)
        ordered = out is None and lines is not Format.SIDECAR
        try:
            code = asyncio.run(_caption(client, inputs, sink, options, concurrency, ordered))
        finally:
            sink.close()
    raise typer.Exit(code)


class _Inputs:
    """The images that the command line names, and those that standard input is to name."""

    def __init__(self, paths: list[str], recursive: bool, excluded: Exclusions, null: bool) -> None:
        from captionbox.cli.sources.sources import once

        self._paths, self._recursive, self._excluded = paths, recursive, excluded
        self.null = null
        self.open = "-" in paths
        found = (one for path in paths if path != "-" for one in self._expand(path, patterns=True))
        self.named = list(once(found))

    def check(self) -> None:
        """Raise UsageError where there are no images, and none to come."""
        if not self.named and not self.open:
            deeper = "" if self._recursive else "; --recursive searches the folders in it, too"
            raise UsageError(f"no images found in {', '.join(self._paths)}{deeper}")

    def of_line(self, line: str) -> Iterable[str]:
        """Return the images that a line of a list stands for: what it names, and no pattern."""
        return self._expand(line, patterns=False)

    def _expand(self, argument: str, patterns: bool) -> Iterator[str]:
        from captionbox.cli.sources.sources import expand

        return expand(argument, self._recursive, self._excluded, patterns=patterns)


def _open_sink(
    output_format: Format, out: Path | None, skip_existing: bool, retry_failed: bool
) -> Sink:
    """Return where the records go.

    Raises:
        UsageError: the file cannot be used.
    """
    from captionbox.cli.output.formats import LINE_FORMATS
    from captionbox.cli.output.record_file import RecordFile, RecordFileError
    from captionbox.cli.output.sidecars import Sidecars
    from captionbox.cli.run.run import StandardOutput

    if output_format is Format.SIDECAR:
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
        return Sidecars(out, skip_existing, retry_failed)
    lines = LINE_FORMATS[output_format]()
    if out is None:
        return StandardOutput(lines)
    try:
        return RecordFile(out, lines, skip_existing, retry_failed)
    except RecordFileError as error:
        raise UsageError(str(error)) from error


async def _caption(
    client: AsyncCaptionbox,
    inputs: _Inputs,
    sink: Sink,
    options: CaptionOptions,
    concurrency: int,
    ordered: bool,
) -> int:
    """Caption everything, and return the exit code."""
    from asyncio import CancelledError

    from captionbox.cli.output.endings import sentence
    from captionbox.cli.run.progress import reporter, same_place
    from captionbox.cli.run.run import Stop, run
    from captionbox.cli.run.tally import Tally
    from captionbox.cli.sources.feeds import listed

    tally, stop = Tally(), Stop()
    if inputs.open:
        total, sources = None, _with_standard_input(inputs, sink, tally, stop)
    else:
        todo = [source for source in inputs.named if tally.is_new(sink.past(source))]
        total, sources = len(todo), listed(todo, stop.event)
    # Captions that appear on the same terminal are progress enough.
    bar = not (ordered and sys.stdout.isatty())
    async with client:
        with reporter("captioning", total, bar=bar) as report:
            stop.listen(report)
            try:
                await run(
                    client,
                    sources,
                    sink,
                    report,
                    tally,
                    stop,
                    options,
                    concurrency=concurrency,
                    ordered=ordered,
                    tell_failures=not (ordered and same_place(sys.stdout, sys.stderr)),
                )
            except CancelledError:
                if stop.code is None:
                    raise
            if tally.stopped_by is not None:
                report.say(f"captionbox: {sentence(tally.stopped_by)}")
            if inputs.open and not tally.seen and stop.code is None:
                report.say("captionbox: no images on standard input")
            else:
                report.remark(tally.summary())
    return stop.code or tally.code()


async def _with_standard_input(
    inputs: _Inputs, sink: Sink, tally: Tally, stop: Stop
) -> AsyncIterator[str]:
    """Yield what is to be asked for: what was named, then what arrives on standard input."""
    from captionbox.cli.sources.feeds import listed, standard_input
    from captionbox.cli.sources.lists import ListError
    from captionbox.cli.sources.sources import identity

    seen: set[str] = set()

    def new(sources: Iterable[str]) -> Iterator[str]:
        for source in sources:
            if identity(source) in seen:
                continue
            seen.add(identity(source))
            if tally.is_new(sink.past(source)):
                yield source

    async for source in listed(new(inputs.named), stop.event):
        yield source
    try:
        async for line in standard_input(stop.event, inputs.null):
            for source in new(inputs.of_line(line)):
                if stop.event.is_set():
                    return
                yield source
    except ListError as error:
        raise UsageError(str(error)) from error
