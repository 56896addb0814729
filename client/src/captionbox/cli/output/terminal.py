"""Text on a terminal: tables, and text of others made harmless."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def printable(text: str) -> str:
    """Return `text` with everything escaped that moves the cursor or is no character at all."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def show(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows on standard output.

    Args:
        columns: their names.
        rows: of any text.
    """
    rows = [[printable(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        lines = ["\t".join(row) for row in (columns, *rows)]
        sys.stdout.write("".join(f"{line}\n" for line in lines))
        sys.stdout.flush()
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(*columns)
    for row in rows:
        table.add_row(*map(escape, row))
    Console().print(table)
