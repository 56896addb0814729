"""The `captionbox` command: its subcommands and its entry point."""

from __future__ import annotations

import io
import sys
from typing import Annotated

import typer

from captionbox.cli.commands.alt import alt
from captionbox.cli.commands.caption import caption
from captionbox.cli.commands.check import check
from captionbox.cli.commands.match import match
from captionbox.cli.commands.mcp import mcp
from captionbox.cli.commands.models import models
from captionbox.cli.commands.review import review
from captionbox.cli.commands.undo import undo
from captionbox.cli.commands.watch import watch
from captionbox.cli.commands.xmp import xmp
from captionbox.version import __version__

app = typer.Typer(
    name="captionbox",
    help="Caption images with a Captionbox server.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
for command in (caption, watch, review, alt, xmp, undo, match, models, check, mcp):
    app.command()(command)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version, and exit."
        ),
    ] = False,
) -> None:
    # Names and captions may have characters that the terminal's encoding has not.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def main() -> None:
    """Run the command."""
    app()
