"""`python -m serving.keys`: make API keys; docs/keys.md says how to use them."""

from __future__ import annotations

import argparse
import secrets
import sys
from collections.abc import Sequence

from serving.base.keys import KEY_PREFIX, KeyFormatError, make_entry

_KEY_BYTES = 32
_SHORTEST_KEY = 24


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `python -m serving.keys`; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m serving.keys", description="Make API keys.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("new", help="make a key and the entry that lets it in").add_argument("name")
    commands.add_parser(
        "entry", help="make the entry of a key of your own, read from standard input"
    ).add_argument("name")
    given = parser.parse_args(arguments)
    if given.command == "new":
        key = KEY_PREFIX + secrets.token_urlsafe(_KEY_BYTES)
    else:
        key = sys.stdin.readline().strip()
        if len(key) < _SHORTEST_KEY or not key.isascii() or not key.isprintable() or " " in key:
            parser.error(f"a key has at least {_SHORTEST_KEY} ASCII characters without blanks")
    try:
        entry = make_entry(given.name, key)
    except KeyFormatError as error:
        parser.error(str(error))
    if given.command == "new":
        sys.stdout.write(f"key, for the client; it is stored nowhere:\n  {key}\n")
        sys.stdout.write("entry, for CAPTIONBOX_API_KEYS or its file:\n  ")
    sys.stdout.write(f"{entry}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
