"""`captionbox alt`: alternative texts for a web site's images."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from captionbox.cli.commands import arguments as given
from captionbox.cli.output.endings import UsageError, plain_endings


def alt(
    site: Annotated[
        Path,
        typer.Argument(
            metavar="SITE_DIR|FILE.html", show_default=False, help="A site's folder, or one page."
        ),
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the changes as a diff; write nothing.")
    ] = False,
    root: Annotated[
        Path | None,
        typer.Option(
            help="Folder that addresses like /logo.png begin at; by default SITE_DIR, or the "
            "page's own folder.",
            show_default=False,
        ),
    ] = None,
    exclude: given.Exclude = None,
    max_chars: Annotated[
        int | None,
        typer.Option(
            min=20,
            help="Longest text in characters; longer ones are cut after a word. Screen readers "
            "like 125 and less.",
            show_default=False,
        ),
    ] = None,
    lang: Annotated[
        str,
        typer.Option(
            help="Language that the model writes. Where a page's <html lang> is another one, the "
            "image gets a lang attribute of its own, so that it is read out rightly."
        ),
    ] = "en",
    report_left: Annotated[
        bool,
        typer.Option("--report", help="Also list the decorative images, which get no text."),
    ] = False,
    as_json: given.AsJson = False,
    concurrency: given.Concurrency = 8,
    model: given.Model = None,
    prompt: given.Prompt = None,
    base_url: given.BaseUrl = None,
    api_key: given.ApiKey = None,
    timeout: given.Timeout = 60.0,
    max_retries: given.MaxRetries = None,
) -> None:
    """Write captions into <img> tags that have no alt, and Markdown images without a text.

    Decorative images (alt="", role="presentation", aria-hidden="true", spacers) are left alone, and
    so is every other byte of a page. A page is written all at once when all its images have been
    asked for; an interrupted run is taken up again by the same command.
    """
    with plain_endings():
        from captionbox.cli.output.diffs import diff
        from captionbox.cli.output.formats import one_line
        from captionbox.cli.output.journal import keeping
        from captionbox.cli.output.terminal import show
        from captionbox.cli.run.follow import follow
        from captionbox.cli.run.progress import reporter
        from captionbox.cli.run.tally import Tally
        from captionbox.cli.sources.folders import Exclusions
        from captionbox.cli.sources.img_tags import MOST_OF_A_SPACER
        from captionbox.cli.texts.site import Site, pages, shortened, write

        if not site.exists():
            raise UsageError(f"{site} does not exist")
        if not re.fullmatch(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*", lang):
            raise UsageError(f"--lang is like en or pt-BR, not {lang!r}")
        work = Site(root or (site if site.is_dir() else site.parent), lang.lower())
        tally, written = Tally(), dict[str, int]()
        for page in pages(site, Exclusions(exclude or ())):
            work.add(page)
        images = work.images()
        with (
            keeping("alt", site) as journal,
            given.make_client(base_url, api_key, timeout, max_retries) as client,
            reporter("captioning", len(images), bar=not sys.stdout.isatty()) as report,
        ):
            for reason in work.left:
                report.say(reason)
            for page, spoken in work.foreign.items():
                report.remark(f"{page} is in {spoken}: its images get lang={lang}")
            outcomes = client.caption_many(
                images, concurrency=concurrency, model=model, prompt=prompt
            )
            for image, result in follow(outcomes, tally, report):
                tally.captioned += result is not None
                text = None
                if result and max(result.image.width, result.image.height) > MOST_OF_A_SPACER:
                    text = shortened(one_line(result.text), max_chars)
                for change in work.answer(image, text):
                    written[str(change.page)] = change.count
                    if as_json and dry_run:
                        continue
                    if dry_run:
                        typer.echo(diff(change.page, change.old, change.new), nl=False)
                    else:
                        write(change, journal)
                        if not as_json:
                            typer.echo(f"{change.page}: {change.count} written")
            decorative = [
                {"page": page, "src": src, "reason": why} for page, src, why in work.decorative
            ]
            if as_json:
                told = {"written": written, "left": work.left, "decorative": decorative}
                typer.echo(json.dumps(told | tally.counts(), indent=2))
            elif report_left:
                show(["page", "src", "reason"], [list(one.values()) for one in decorative])
            report.remark(tally.summary() if images else "no image lacks an alternative text")
            raise typer.Exit(tally.code())
