"""`captionbox watch`: new and changed pictures captioned as they arrive."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from captionbox.cli.commands import arguments as given
from captionbox.cli.output.endings import UsageError, plain_endings
from captionbox.cli.output.format_names import Format, chosen_format
from captionbox.cli.output.policies import checked_extension

if TYPE_CHECKING:
    from captionbox.async_client import AsyncCaptionbox
    from captionbox.cli.output.formats import Record
    from captionbox.cli.run.run import Sink
    from captionbox.cli.sources.arrivals import Arrivals
    from captionbox.options import CaptionOptions


def watch(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", show_default=False, help="Where pictures arrive.")
    ],
    output_format: Annotated[
        Format | None,
        typer.Option(
            "--format",
            "-f",
            help="How captions are written; by default what the ending of --out says, or txt.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="File to write to, or folder for text files; otherwise they are next to their "
            "images.",
            show_default=False,
        ),
    ] = None,
    recursive: Annotated[
        bool,
        typer.Option("--recursive/--no-recursive", "-r", help="Watch the folders in it, too."),
    ] = True,
    exclude: given.Exclude = None,
    settle: Annotated[
        float,
        typer.Option(min=0.1, help="Seconds that a file has to stay as it is to be complete."),
    ] = 2.0,
    prefix: given.Prefix = "",
    suffix: given.Suffix = "",
    caption_extension: given.CaptionExtension = ".txt",
    dry_run: given.DryRun = False,
    as_json: given.AsJson = False,
    model: given.Model = None,
    num_beams: given.NumBeams = None,
    max_length: given.MaxLength = None,
    prompt: given.Prompt = None,
    base_url: given.BaseUrl = None,
    api_key: given.ApiKey = None,
    timeout: given.Timeout = 60.0,
    max_retries: given.MaxRetries = None,
) -> None:
    """Caption the pictures of a folder, and new and changed ones as they arrive.

    Goes on until it is stopped, and then begins where it left off. A picture that has changed gets
    a new text if Captionbox wrote the old one; what a person wrote stays. A server that is away is
    waited for.
    """
    options: CaptionOptions = {
        "model": model,
        "num_beams": num_beams,
        "max_length": max_length,
        "prompt": prompt,
    }
    with plain_endings():
        import asyncio
        from importlib.util import find_spec

        from captionbox.cli.output.formats import Past
        from captionbox.cli.output.journal import keeping
        from captionbox.cli.run.sinks import Policy, looking_only, open_sink
        from captionbox.cli.sources.arrivals import Arrivals
        from captionbox.cli.sources.folders import Exclusions

        if not folder.is_dir():
            raise UsageError(f"{folder} is not a folder")
        if find_spec("watchfiles") is None:
            raise UsageError("watchfiles is not installed: pip install 'captionbox[watch]'")
        lines = Format.TXT if output_format is None and out is None else None
        lines = lines or chosen_format(output_format, out)
        if out is None and not lines.is_sidecar:
            raise UsageError(f"--format {lines} needs --out")
        extension = checked_extension(caption_extension)
        policy = Policy(prefix=prefix, suffix=suffix, extension=extension, renew=True)

        def arriving(sink: Sink) -> Arrivals:
            excluded = Exclusions(exclude or ())
            return Arrivals(
                folder, recursive, excluded, settle, lambda one: sink.past(one) is Past.NEW
            )

        if dry_run:
            with looking_only(lines, out, policy) as sink:
                for source in arriving(sink).there():
                    _tell(source, None, as_json)
            return
        client = given.make_async_client(base_url, api_key, timeout, max_retries)
        with keeping("watch", folder, lines, out) as journal:
            sink = open_sink(lines, out, policy, journal)
            try:
                code = asyncio.run(_watch(client, arriving(sink), sink, options, as_json))
            finally:
                sink.close()
            raise typer.Exit(code)


async def _watch(
    client: AsyncCaptionbox, arrivals: Arrivals, sink: Sink, options: CaptionOptions, as_json: bool
) -> int:
    """Watch until something says stop, and return the exit code."""
    from captionbox.cli.run.progress import reporter
    from captionbox.cli.run.run import Stop
    from captionbox.cli.run.tally import Tally
    from captionbox.cli.run.watching import watch as run

    def written(record: Record) -> None:
        if record.error is None:
            _tell(record.source, record.caption, as_json)

    tally, stop = Tally(), Stop()
    async with client:
        with reporter("captioned", None, bar=False) as report:
            with stop.attended(report, tally):
                await run(client, arrivals, sink, report, tally, stop, options, written=written)
            report.remark(tally.summary())
    return stop.code or tally.code()


def _tell(source: str, caption: str | None, as_json: bool) -> None:
    """Print a line for a picture."""
    from captionbox.cli.output.terminal import printable

    if as_json:
        told = {"image": source} | ({} if caption is None else {"caption": caption})
        typer.echo(json.dumps(told))
    else:
        typer.echo(printable(source if caption is None else f"{source}: {caption}"))
