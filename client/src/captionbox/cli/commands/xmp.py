"""`captionbox xmp`: captions into the images' own metadata."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from captionbox.cli.commands import arguments as given
from captionbox.cli.output.endings import UsageError, plain_endings


def xmp(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH", show_default=False, help="Files, folders or patterns."),
    ],
    recursive: given.Recursive = False,
    exclude: given.Exclude = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace descriptions that are there already.")
    ] = False,
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
    is no description.
    """
    with plain_endings():
        from captionbox.cli.output.exiftool import ExifTool, ExifToolError
        from captionbox.cli.output.formats import one_line
        from captionbox.cli.run.follow import follow
        from captionbox.cli.run.progress import reporter
        from captionbox.cli.run.tally import Tally
        from captionbox.cli.sources.folders import Exclusions
        from captionbox.cli.sources.sources import expand, once
        from captionbox.images import is_url

        exiftool = ExifTool()
        for path in paths:
            if is_url(path):
                raise UsageError(f"{path} is not a file on this machine")
        tally = Tally()
        excluded = Exclusions(exclude or ())
        sources = list(
            once(source for path in paths for source in expand(path, recursive, excluded))
        )
        if not sources:
            raise UsageError(f"no images found in {', '.join(paths)}")
        seen = {source: _state(source) for source in sources}
        done = set() if overwrite else exiftool.described(sources)
        todo = [source for source in sources if source not in done]
        tally.done_before = len(sources) - len(todo)
        with (
            given.make_client(base_url, api_key, timeout, max_retries) as client,
            reporter("describing", len(todo)) as report,
        ):
            outcomes = client.caption_many(
                todo, concurrency=concurrency, ordered=False, model=model, prompt=prompt
            )
            for image, result in follow(outcomes, tally, report):
                if result is None:
                    continue
                changed = not overwrite and _state(image) != seen[image]
                if changed and exiftool.described([image]):
                    tally.done_before += 1  # somebody has described it meanwhile
                    continue
                try:
                    exiftool.describe(image, one_line(result.text))
                    tally.good()
                except ExifToolError as error:
                    report.say(f"{image}: {error}")
                    tally.failed += 1
            report.remark(tally.summary())
        raise typer.Exit(tally.code())


def _state(source: str) -> tuple[int, int] | None:
    """Return what differs after a file was changed; None where it is not there."""
    try:
        found = os.stat(source)  # noqa: PTH116
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size
