"""`captionbox caption`: captions for files, folders, patterns, lists and URLs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from captionbox.cli.commands import arguments as given
from captionbox.cli.output.endings import ExitCode, plain_endings
from captionbox.cli.output.format_names import Format, chosen_format
from captionbox.cli.output.policies import checked_extension, chosen_policy

if TYPE_CHECKING:
    from captionbox.async_client import AsyncCaptionbox
    from captionbox.cli.run.inputs import Inputs
    from captionbox.cli.run.run import Sink
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
            help="Older names of --existing skip and overwrite.",
            hidden=True,
        ),
    ] = True,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Begin anew: replace what the file or the sidecars have, corrected or not. The "
            "same as --existing overwrite.",
        ),
    ] = False,
    existing: given.ExistingTexts = None,
    preserve_human: given.PreserveHuman = False,
    retry_failed: given.RetryFailed = False,
    prefix: given.Prefix = "",
    suffix: given.Suffix = "",
    caption_extension: given.CaptionExtension = ".txt",
    since: given.Since = None,
    limit: given.Limit = None,
    sample: given.Sample = None,
    dry_run: given.DryRun = False,
    as_json: given.AsJson = False,
    concurrency: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Requests in progress at once, one image in each; by default what keeps a server "
            "busy, several images in a request where it is quick.",
            show_default=False,
            rich_help_panel="Server",
        ),
    ] = None,
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

        from captionbox.cli.output.journal import keeping
        from captionbox.cli.run.inputs import Inputs
        from captionbox.cli.run.sinks import Policy, looking_only, open_sink
        from captionbox.cli.sources.folders import Exclusions
        from captionbox.cli.sources.selection import moment

        wanted = Format.JSONL if as_json and output_format is None and out is None else None
        lines = wanted or chosen_format(output_format, out)
        policy = Policy(
            chosen_policy(existing, skip_existing, overwrite),
            preserve_human,
            retry_failed,
            prefix,
            suffix,
            checked_extension(caption_extension),
        )
        client = given.make_async_client(base_url, api_key, timeout, max_retries)
        begin = None if since is None else moment(since)
        excluded = Exclusions(exclude or ())
        inputs = Inputs(paths, recursive, excluded, null, begin, limit, sample)
        if dry_run:
            with looking_only(lines, out, policy) as sink:
                code = asyncio.run(_tell(inputs, sink, as_json))
            raise typer.Exit(code)
        with keeping("caption", *paths, lines, out) as journal:
            sink = open_sink(lines, out, policy, journal)
            # What is printed is in order; what is written, as answers come: least is lost then.
            printed = out is None and not lines.is_sidecar
            try:
                code = asyncio.run(
                    _caption(client, inputs, sink, options, concurrency, printed, as_json)
                )
            finally:
                sink.close()
            raise typer.Exit(code)


async def _tell(inputs: Inputs, sink: Sink, as_json: bool) -> int:
    """Print what would be asked for, and return the exit code."""
    from captionbox.cli.output.terminal import printable
    from captionbox.cli.run.run import Stop
    from captionbox.cli.run.tally import Tally

    tally, count = Tally(), 0
    async for source in inputs.as_they_come(sink, tally, Stop()):
        count += 1
        typer.echo(json.dumps({"image": source}) if as_json else printable(source))
    typer.echo(f"{count} would be captioned, {tally.seen} are done", err=True)
    return ExitCode.OK


async def _caption(
    client: AsyncCaptionbox,
    inputs: Inputs,
    sink: Sink,
    options: CaptionOptions,
    concurrency: int | None,
    printed: bool,
    as_json: bool,
) -> int:
    """Caption everything, and return the exit code."""
    from captionbox.cli.run.pace import Pace
    from captionbox.cli.run.progress import reporter, same_place
    from captionbox.cli.run.run import Stop, run
    from captionbox.cli.run.tally import Tally
    from captionbox.cli.sources.feeds import listed

    tally, stop = Tally(), Stop()
    if inputs.open:
        total, sources = None, inputs.as_they_come(sink, tally, stop)
    else:
        todo = inputs.todo(sink, tally)
        total, sources = len(todo), listed(todo, stop.event)
    # Captions that appear on the same terminal are progress enough.
    bar = not (printed and sys.stdout.isatty())
    async with client:
        with reporter("captioning", total, bar=bar) as report:
            with stop.attended(report, tally):
                await run(
                    client,
                    sources,
                    sink,
                    report,
                    tally,
                    stop,
                    options,
                    pace=Pace(concurrency, total),
                    ordered=printed,
                    tell_failures=not (printed and same_place(sys.stdout, sys.stderr)),
                )
            if inputs.open and not tally.seen and stop.code is None:
                report.say("captionbox: no images on standard input")
            elif as_json and not printed:
                typer.echo(json.dumps(tally.counts()))
            else:
                report.remark(tally.summary())
    return stop.code or tally.code()
