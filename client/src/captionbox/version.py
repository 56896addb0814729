"""The version of this package, and which servers it speaks with."""

from __future__ import annotations

import re

__version__ = "0.1.0"

_NUMBERS = re.compile(r"(\d+)\.(\d+)")


def speaks_with(server_version: str) -> bool:
    """Whether a server of that version offers the interface that this package was written for.

    The first number must be the same; while it is 0, the second one too. A version that cannot be
    read counts as compatible: nothing is known against it.
    """
    theirs, ours = _NUMBERS.match(server_version), _NUMBERS.match(__version__)
    if theirs is None or ours is None:
        return True
    if theirs[1] != ours[1]:
        return False
    return theirs[1] != "0" or theirs[2] == ours[2]


def mismatch(server_version: str | None) -> str | None:
    """Return one sentence that says plainly what does not fit, or None where all is well."""
    if server_version is None or speaks_with(server_version):
        return None
    return (
        f"the server is Captionbox {server_version[:40]} but this client is {__version__}: "
        "they may not understand each other; install the client of the server's version"
    )
