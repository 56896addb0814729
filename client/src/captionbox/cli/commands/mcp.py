"""`captionbox mcp`: the server's tools for an agent on this machine."""

from __future__ import annotations

from importlib.util import find_spec

from captionbox.cli.commands import arguments as given
from captionbox.cli.output.endings import UsageError, plain_endings


def mcp(
    base_url: given.BaseUrl = None,
    api_key: given.ApiKey = None,
    timeout: given.Timeout = 60.0,
    max_retries: given.MaxRetries = None,
) -> None:
    """Give an agent on this machine the server's tools, over standard input and output.

    Speaks the Model Context Protocol: agents start this command by themselves. Beside addresses,
    its tools take paths of this machine's pictures.
    """
    with plain_endings():
        if find_spec("mcp") is None:
            raise UsageError("the package mcp is missing: pip install 'captionbox[mcp]'")
        import asyncio

        from captionbox.cli.run.tools import serve

        client = given.make_async_client(base_url, api_key, timeout, max_retries)
        asyncio.run(serve(client))
