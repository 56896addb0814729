"""`captionbox undo`: the last run taken back, byte for byte."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from captionbox.cli.commands import arguments as given
from captionbox.cli.output.endings import ExitCode, UsageError, plain_endings


def undo(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="FOLDER",
            help="Take back the last run that changed something in this folder; by default the "
            "last run of all.",
            show_default=False,
        ),
    ] = None,
    show: Annotated[
        bool, typer.Option("--list", help="List the runs that can be taken back; do nothing.")
    ] = False,
    dry_run: given.DryRun = False,
    as_json: given.AsJson = False,
) -> None:
    """Take back the last run of caption, xmp, alt, watch or review.

    Every file that it changed gets the content, the time and the permissions that it had before;
    files that it made are removed. A file that somebody has changed since is left alone and told.
    Given again, it takes back the run before.
    """
    with plain_endings():
        from captionbox.cli.output.past_runs import past_runs, take_back
        from captionbox.cli.output.terminal import printable
        from captionbox.cli.output.terminal import show as table

        runs = [run for run in past_runs() if folder is None or run.changed_in(folder)]
        if show:
            if as_json:
                typer.echo(json.dumps([run.told() for run in runs], indent=2))
            else:
                rows = [[run.began, run.command, str(len(run.files))] for run in runs]
                table(["began", "command", "files"], rows)
            return
        if not runs:
            raise UsageError("there is no run to be taken back")
        last = runs[0]
        if last.at_work:
            raise UsageError(f"{last.command} is still at work")
        done = take_back(last, dry_run=dry_run)
        if as_json:
            typer.echo(json.dumps(last.told() | done.told(), indent=2))
        else:
            for path, reason in done.left.items():
                typer.echo(printable(f"{path}: {reason}"), err=True)
            verb = "would be as before" if dry_run else "as before"
            typer.echo(f"{last.command}: {len(done.restored)} files {verb}")
        raise typer.Exit(ExitCode.SOME_FAILED if done.left else ExitCode.OK)
