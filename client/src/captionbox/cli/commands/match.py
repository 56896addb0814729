"""`captionbox match`: texts ranked by how well they fit an image."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from captionbox.cli.commands import arguments as given
from captionbox.cli.output.endings import plain_endings
from captionbox.cli.output.terminal import show


def match(
    image: Annotated[str, typer.Argument(metavar="IMAGE", show_default=False, help="A file.")],
    texts: Annotated[
        list[str],
        typer.Argument(metavar="TEXT", show_default=False, help="1 to 32 texts to rank."),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Everything the server says.")] = False,
    model: given.Model = None,
    base_url: given.BaseUrl = None,
    api_key: given.ApiKey = None,
    timeout: given.Timeout = 60.0,
    max_retries: given.MaxRetries = None,
) -> None:
    """Rank texts by how well they fit an image, best first."""
    with plain_endings():
        from captionbox.cli.output.formats import one_line

        with given.make_client(base_url, api_key, timeout, max_retries, 2) as client:
            result = client.match(image, texts, model=model)
        if as_json:
            typer.echo(json.dumps(result.model_dump(mode="json"), indent=2))
            return
        rows = [[f"{one.score:.4f}", one_line(one.text)] for one in result.matches]
        show(["score", "text"], rows)
