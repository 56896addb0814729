"""`captionbox review`: captions looked at in the browser, written when they are accepted."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from captionbox.cli.commands import arguments as given
from captionbox.cli.output.endings import UsageError, plain_endings
from captionbox.cli.output.policies import checked_extension

if TYPE_CHECKING:
    from captionbox.cli.output.journal import Journal
    from captionbox.cli.texts.accepted import Accepted


class Target(StrEnum):
    """Where accepted texts go."""

    TXT = "txt"
    XMP = "xmp"
    CSV = "csv"


def review(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", show_default=False, help="A folder of pictures.")
    ],
    results: Annotated[
        Path | None,
        typer.Option(
            help="The captions: a .jsonl or .csv of captionbox caption; otherwise the text files "
            "next to the pictures.",
            show_default=False,
        ),
    ] = None,
    target: Annotated[
        Target, typer.Option("--to", help="Where accepted texts are written.")
    ] = Target.TXT,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="File of --to csv.", show_default=False),
    ] = None,
    recursive: given.Recursive = False,
    exclude: given.Exclude = None,
    caption_extension: given.CaptionExtension = ".txt",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="To listen on; any that is free by default.")
    ] = 0,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")
    ] = True,
    as_json: given.AsJson = False,
) -> None:
    """Look at a folder's captions in the browser: accept, edit, skip with the keyboard.

    The page is for this machine alone. Nothing is written before it is accepted; what is accepted
    is a person's text from then on. Ctrl-C ends it, and captionbox undo takes back what it wrote.
    """
    with plain_endings():
        import webbrowser

        from captionbox.cli.output.journal import keeping
        from captionbox.cli.run.results import of_table, of_texts
        from captionbox.cli.run.reviewing import Review
        from captionbox.cli.sources.folders import Exclusions
        from captionbox.cli.sources.sources import expand

        if not folder.is_dir():
            raise UsageError(f"{folder} is not a folder")
        if (target is Target.CSV) != (out is not None):
            raise UsageError("--to csv and --out go together")
        extension = checked_extension(caption_extension)
        excluded = Exclusions(exclude or ())
        sources = list(expand(str(folder), recursive, excluded, patterns=False))
        items = of_table(results, sources) if results else of_texts(sources, extension)
        if not items:
            raise UsageError(f"there are no captions of pictures in {folder} to be reviewed")
        with keeping("review", folder, target, out) as journal:
            page = Review(items, _target(target, out, extension, journal), port)
            typer.echo(json.dumps({"url": page.url}) if as_json else page.url)
            if browser:
                webbrowser.open(page.url)
            try:
                page.run()
            except KeyboardInterrupt:
                count = sum(item.accepted is not None for item in items)
                typer.echo(f"{count} of {len(items)} accepted", err=True)
            finally:
                page.close()


def _target(target: Target, out: Path | None, extension: str, journal: Journal) -> Accepted:
    from captionbox.cli.texts.accepted import AcceptedDescriptions, AcceptedTable, AcceptedTexts

    if target is Target.XMP:
        return AcceptedDescriptions(journal)
    if out is not None:
        return AcceptedTable(out, journal)
    return AcceptedTexts(extension, journal)
