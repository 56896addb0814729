"""`captionbox check`: is the server there, which version, which models."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer

from captionbox.cli.commands import arguments as given
from captionbox.cli.output.endings import ExitCode, plain_endings

if TYPE_CHECKING:
    from captionbox.results import ModelInfo


def check(
    as_json: given.AsJson = False,
    base_url: given.BaseUrl = None,
    api_key: given.ApiKey = None,
    timeout: given.Timeout = 10.0,
    max_retries: given.MaxRetries = None,
) -> None:
    """Tell whether the server is there, its version and its models."""
    with plain_endings():
        from captionbox.errors import APIStatusError
        from captionbox.version import __version__, mismatch

        with given.make_client(base_url, api_key, timeout, max_retries, 0) as client:
            models = client.models()
            try:
                version = client.server_version()
            except APIStatusError:
                version = None  # a server that captions is a good one, even if it does not tell
        if as_json:
            told = {"server": client.base_url, "version": version, "client": __version__}
            names = [model.id for model in models]
            typer.echo(json.dumps(told | {"models": names, "fits": not mismatch(version)}))
            raise typer.Exit(ExitCode.REFUSED if mismatch(version) else ExitCode.OK)
        typer.echo(f"server   {client.base_url}")
        typer.echo(f"version  {version or 'not told'} (this client: {__version__})")
        names = [model.id + _remark(model) for model in models]
        typer.echo(f"models   {', '.join(names) or 'none'}")
    if mismatch(version):  # said already
        raise typer.Exit(ExitCode.REFUSED)


def _remark(model: ModelInfo) -> str:
    if model.kind == "matcher":
        return " (matcher)"
    return " (default)" if model.default else ""
