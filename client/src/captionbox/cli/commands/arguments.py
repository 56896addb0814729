"""Command-line options that several commands share, and the clients they make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from captionbox.cli.output.endings import UsageError
from captionbox.cli.output.policies import Existing
from captionbox.options import describe

if TYPE_CHECKING:
    from captionbox.async_client import AsyncCaptionbox
    from captionbox.client import Captionbox

_SERVER = "Server"
_CAPTION = "Captions"

PATIENCE = 6
"""Further tries of a run over many images: nobody waits for its next line."""

BaseUrl = Annotated[
    str | None,
    typer.Option(
        help="Where the server is; http://localhost:3000 by default.",
        envvar="CAPTIONBOX_BASE_URL",
        show_default=False,
        rich_help_panel=_SERVER,
    ),
]
ApiKey = Annotated[
    str | None,
    typer.Option(
        help="Key for a server that wants one. Better given in the environment: the arguments of a "
        "process can be seen by others.",
        envvar="CAPTIONBOX_API_KEY",
        show_default=False,
        rich_help_panel=_SERVER,
    ),
]
Timeout = Annotated[
    float, typer.Option(help="Seconds to wait for one answer.", rich_help_panel=_SERVER)
]
MaxRetries = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="Further tries after a failed connection, a 408, 429 or 503. By default several, but "
        "none before the server has ever answered.",
        show_default=False,
        rich_help_panel=_SERVER,
    ),
]
Concurrency = Annotated[
    int, typer.Option(min=1, help="Requests in progress at once.", rich_help_panel=_SERVER)
]
Recursive = Annotated[
    bool, typer.Option("--recursive", "-r", help="Search the folders in a folder too.")
]
Exclude = Annotated[
    list[str] | None,
    typer.Option(
        "--exclude",
        metavar="PATTERN",
        help="Leave out what has such a name (*, ?, […]), or lies in a folder of such a name. May "
        "be given several times.",
        show_default=False,
    ),
]

_TEXTS = "Texts"

ExistingTexts = Annotated[
    Existing | None,
    typer.Option(
        "--existing",
        help="Images that have a text already: skip leaves them out, and is what is done by "
        "default; overwrite replaces the text; append adds the caption to a text that has none of "
        "Captionbox's; missing-only also leaves out what has an empty text file, or a description "
        "that only a camera wrote.",
        show_default=False,
        rich_help_panel=_TEXTS,
    ),
]
PreserveHuman = Annotated[
    bool,
    typer.Option(
        "--preserve-human",
        help="Overwrite only texts that Captionbox wrote and nobody changed since.",
        rich_help_panel=_TEXTS,
    ),
]
RetryFailed = Annotated[
    bool,
    typer.Option(
        "--retry-failed",
        help="Ask again for images recorded as failed.",
        rich_help_panel=_TEXTS,
    ),
]
Prefix = Annotated[
    str,
    typer.Option(
        help="Put before every caption as it stands: a trigger word, with its blank.",
        show_default=False,
        rich_help_panel=_TEXTS,
    ),
]
Suffix = Annotated[
    str,
    typer.Option(
        help="Put after every caption as it stands.", show_default=False, rich_help_panel=_TEXTS
    ),
]
CaptionExtension = Annotated[
    str, typer.Option(help="Ending of text files (--format txt).", rich_help_panel=_TEXTS)
]
Since = Annotated[
    str | None,
    typer.Option(
        metavar="WHEN",
        help="Only files changed since: 2026-11-01, 2026-11-01T18:30, or 12h, 7d, 2w ago.",
        show_default=False,
    ),
]
Limit = Annotated[
    int | None,
    typer.Option(min=1, help="Most images to ask for in this run.", show_default=False),
]
Sample = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Only so many images, drawn evenly; the same ones each time.",
        show_default=False,
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Tell what would be done; ask and write nothing.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Tell it as JSON, for programs.")]

Model = Annotated[str | None, typer.Option(help=describe("model"), rich_help_panel=_CAPTION)]
NumCaptions = Annotated[
    int | None, typer.Option(help=describe("num_captions"), rich_help_panel=_CAPTION)
]
NumBeams = Annotated[int | None, typer.Option(help=describe("num_beams"), rich_help_panel=_CAPTION)]
MaxLength = Annotated[
    int | None, typer.Option(help=describe("max_length"), rich_help_panel=_CAPTION)
]
LengthPenalty = Annotated[
    float | None, typer.Option(help=describe("length_penalty"), rich_help_panel=_CAPTION)
]
Temperature = Annotated[
    float | None, typer.Option(help=describe("temperature"), rich_help_panel=_CAPTION)
]
TopP = Annotated[float | None, typer.Option(help=describe("top_p"), rich_help_panel=_CAPTION)]
Seed = Annotated[int | None, typer.Option(help=describe("seed"), rich_help_panel=_CAPTION)]
Prompt = Annotated[str | None, typer.Option(help=describe("prompt"), rich_help_panel=_CAPTION)]
Attention = Annotated[
    bool, typer.Option("--attention", help=describe("attention"), rich_help_panel=_CAPTION)
]
Rerank = Annotated[
    bool, typer.Option("--rerank", help=describe("rerank"), rich_help_panel=_CAPTION)
]


def make_client(
    base_url: str | None,
    api_key: str | None,
    timeout: float,
    max_retries: int | None,
    usual_retries: int = PATIENCE,
) -> Captionbox:
    """Return a client.

    Args:
        base_url: as given.
        api_key: as given.
        timeout: as given.
        max_retries: as given. Who gives it also waits for a server that is about to start.
        usual_retries: where it was not given.

    Raises:
        UsageError: an argument makes no sense.
    """
    from captionbox.client import Captionbox

    try:
        return Captionbox(
            base_url,
            api_key=api_key,
            timeout=timeout,
            max_retries=usual_retries if max_retries is None else max_retries,
            wait_for_server=max_retries is not None,
            fetch_urls=True,
        )
    except ValueError as error:
        raise UsageError(str(error)) from error


def make_async_client(
    base_url: str | None, api_key: str | None, timeout: float, max_retries: int | None
) -> AsyncCaptionbox:
    """Return an asynchronous client; see `make_client`.

    Raises:
        UsageError: an argument makes no sense.
    """
    from captionbox.async_client import AsyncCaptionbox

    try:
        return AsyncCaptionbox(
            base_url,
            api_key=api_key,
            timeout=timeout,
            max_retries=PATIENCE if max_retries is None else max_retries,
            wait_for_server=max_retries is not None,
            fetch_urls=True,
        )
    except ValueError as error:
        raise UsageError(str(error)) from error
