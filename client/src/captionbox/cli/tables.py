"""Rows of text: a table on a terminal, tab-separated values in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from captionbox.cli.printable import printable


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
