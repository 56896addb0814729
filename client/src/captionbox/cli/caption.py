"""`captionbox caption`: captions for files, folders, patterns, lists and URLs."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from captionbox.cli import arguments as given
from captionbox.cli.endings import UsageError, plain_endings

if TYPE_CHECKING:
    from captionbox.async_client import AsyncCaptionbox
    from captionbox.cli.run import Sink, Stop
    from captionbox.cli.tally import Tally
    from captionbox.options import CaptionOptions


class Format(StrEnum):
    """How captions are written."""

    TEXT = "text"
    JSONL = "jsonl"
    CSV = "csv"
    SIDECAR = "sidecar"
    MD = "md"
    HTML_ALT = "html-alt"


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
        Format, typer.Option("--format", "-f", help="How captions are written.")
    ] = Format.TEXT,
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
    skip_existing: Annotated[
        bool,
        typer.Option(
            "--skip-existing/--no-skip-existing",
            help="Leave out images that the file or the sidecars already have; otherwise begin "
            "anew.",
        ),
    ] = True,
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

        client = given.make_async_client(base_url, api_key, timeout, max_retries)
        sink = _open_sink(output_format, out, skip_existing, retry_failed)
        ordered = out is None and output_format is not Format.SIDECAR
        try:
            code = asyncio.run(
                _caption(client, paths, recursive, sink, options, concurrency, ordered)
            )
        finally:
            sink.close()
    raise typer.Exit(code)


def _open_sink(
    output_format: Format, out: Path | None, skip_existing: bool, retry_failed: bool
) -> Sink:
    """Return where the records go.

    Raises:
        UsageError: the file cannot be used.
    """
    from captionbox.cli.formats import LINE_FORMATS
    from captionbox.cli.record_file import RecordFile, RecordFileError
    from captionbox.cli.run import StandardOutput
    from captionbox.cli.sidecars import Sidecars

    if output_format is Format.SIDECAR:
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
    paths: list[str],
    recursive: bool,
    sink: Sink,
    options: CaptionOptions,
    concurrency: int,
    ordered: bool,
) -> int:
    """Caption everything, and return the exit code."""
    from asyncio import CancelledError

    from captionbox.cli.feeds import listed
    from captionbox.cli.progress import reporter
    from captionbox.cli.run import Stop, run
    from captionbox.cli.tally import Tally

    tally, stop = Tally(), Stop()
    named = _expand((path for path in paths if path != "-"), recursive)
    everything: list[str] | None = None
    if "-" in paths:
        total, sources = None, _with_standard_input(named, recursive, sink, tally, stop)
    else:
        everything = list(named)
        todo = [source for source in everything if tally.is_new(sink.past(source))]
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
                )
            except CancelledError:
                if stop.code is None:
                    raise
            if tally.stopped_by is not None:
                report.say(f"captionbox: {tally.stopped_by}")
            report.remark(tally.summary() if everything != [] else "no images found")
    return stop.code or tally.code()


def _expand(paths: Iterable[str], recursive: bool) -> Iterable[str]:
    from captionbox.cli.sources import expand, once

    return once(source for path in paths for source in expand(path, recursive))


async def _with_standard_input(
    named: Iterable[str], recursive: bool, sink: Sink, tally: Tally, stop: Stop
) -> AsyncIterator[str]:
    """Yield what is to be asked for: what was named, then what arrives on standard input."""
    from captionbox.cli.feeds import listed, standard_input
    from captionbox.cli.sources import expand, identity

    seen: set[str] = set()

    def new(sources: Iterable[str]) -> Iterator[str]:
        for source in sources:
            if identity(source) in seen:
                continue
            seen.add(identity(source))
            if tally.is_new(sink.past(source)):
                yield source

    async for source in listed(new(named), stop.event):
        yield source
    async for line in standard_input(stop.event):
        for source in new(expand(line, recursive)):
            if stop.event.is_set():
                return
            yield source
