"""`captionbox xmp`: captions into the images' own metadata."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from captionbox.cli.commands import arguments as given
from captionbox.cli.output.endings import UsageError, plain_endings
from captionbox.cli.output.policies import chosen_policy


def xmp(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH", show_default=False, help="Files, folders or patterns."),
    ],
    recursive: given.Recursive = False,
    exclude: given.Exclude = None,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Replace descriptions that are there already. The same as --existing overwrite.",
        ),
    ] = False,
    existing: given.ExistingTexts = None,
    preserve_human: given.PreserveHuman = False,
    prefix: given.Prefix = "",
    suffix: given.Suffix = "",
    since: given.Since = None,
    limit: given.Limit = None,
    sample: given.Sample = None,
    dry_run: given.DryRun = False,
    as_json: given.AsJson = False,
    concurrency: given.Concurrency = 8,
    model: given.Model = None,
    prompt: given.Prompt = None,
    base_url: given.BaseUrl = None,
    api_key: given.ApiKey = None,
    timeout: given.Timeout = 60.0,
    max_retries: given.MaxRetries = None,
) -> None:
    """Write captions into the images' XMP and IPTC descriptions. Needs exiftool.

    Pixels are not touched. Images that have a description are left alone, so an interrupted run is
    taken up again by the same command. What cameras write by themselves ("OLYMPUS DIGITAL CAMERA")
    is no description. Who wrote it is told in IPTC's "description writer".
    """
    with plain_endings():
        from captionbox.cli.output.journal import keeping
        from captionbox.cli.output.terminal import printable
        from captionbox.cli.run.describing import Descriptions
        from captionbox.cli.run.inputs import Inputs
        from captionbox.cli.run.progress import reporter
        from captionbox.cli.run.tally import Tally
        from captionbox.cli.sources.folders import Exclusions
        from captionbox.cli.sources.selection import moment
        from captionbox.cli.texts.exiftool import ExifTool
        from captionbox.images import is_url

        policy = chosen_policy(existing, True, overwrite)
        begin = None if since is None else moment(since)
        with keeping("xmp", *paths) as journal:
            exiftool, tally = ExifTool(journal), Tally()
            for path in paths:
                if is_url(path) or path == "-":
                    raise UsageError(f"{path} is not a file on this machine")
            excluded = Exclusions(exclude or ())
            inputs = Inputs(paths, recursive, excluded, False, begin, None, sample)
            work = Descriptions(exiftool, policy, preserve_human, prefix, suffix)
            todo = work.todo(inputs.named)
            tally.done_before = len(inputs.named) - len(todo)
            todo = todo[:limit]
            if dry_run:
                for source in todo:
                    typer.echo(json.dumps({"image": source}) if as_json else printable(source))
                typer.echo(f"{len(todo)} would be described, {tally.seen} are done", err=True)
                raise typer.Exit
            with (
                given.make_client(base_url, api_key, timeout, max_retries) as client,
                reporter("describing", len(todo)) as report,
            ):
                outcomes = client.caption_many(
                    todo, concurrency=concurrency, ordered=False, model=model, prompt=prompt
                )
                work.carry_out(outcomes, tally, report)
                if as_json:
                    typer.echo(json.dumps(tally.counts()))
                else:
                    report.remark(tally.summary())
            raise typer.Exit(tally.code())
