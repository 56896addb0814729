"""`captionbox models`: the models that the server offers."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from captionbox.cli.commands import arguments as given
from captionbox.cli.output.endings import plain_endings
from captionbox.cli.output.terminal import show


def models(
    as_json: Annotated[bool, typer.Option("--json", help="Everything the server says.")] = False,
    base_url: given.BaseUrl = None,
    api_key: given.ApiKey = None,
    timeout: given.Timeout = 60.0,
    max_retries: given.MaxRetries = None,
) -> None:
    """List the models that the server offers."""
    with plain_endings():
        with given.make_client(base_url, api_key, timeout, max_retries, 2) as client:
            found = client.models()
        if as_json:
            typer.echo(json.dumps([model.model_dump(mode="json") for model in found], indent=2))
            return
        show(
            ["name", "version", "method", "kind", "parameters", "default"],
            [
                [
                    model.id,
                    model.version or "",
                    model.method or "",
                    model.kind or "",
                    "" if model.parameters is None else f"{model.parameters:,}",
                    "yes" if model.default else "",
                ]
                for model in found
            ],
        )
