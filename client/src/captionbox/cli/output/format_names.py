"""The output formats by name, and which one a file's name asks for."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from captionbox.cli.output.endings import UsageError


class Format(StrEnum):
    """How captions are written."""

    TEXT = "text"
    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"
    TXT = "txt"
    SIDECAR = "sidecar"
    MD = "md"
    HTML_ALT = "html-alt"

    @property
    def is_sidecar(self) -> bool:
        """Whether each image gets a file of its own; `sidecar` is the older name of `txt`."""
        return self in (Format.TXT, Format.SIDECAR)


_BY_ENDING = {
    ".csv": Format.CSV,
    ".jsonl": Format.JSONL,
    ".ndjson": Format.JSONL,
    ".parquet": Format.PARQUET,
    ".md": Format.MD,
    ".markdown": Format.MD,
    ".html": Format.HTML_ALT,
    ".htm": Format.HTML_ALT,
}
# Whoever opens such a file expects what is not written here.
_NOT_WRITTEN = frozenset(".json .xlsx .xls .ods .xml .yaml .yml .gz .bz2 .xz .zst .zip".split())


def chosen_format(named: Format | None, out: Path | None) -> Format:
    """Return the format to write: the one named, or else what the file's ending says, or text.

    Raises:
        UsageError: none was named, and the ending promises something that is not written.
    """
    if named is not None:
        return named
    ending = "" if out is None else out.suffix.lower()
    if ending in _NOT_WRITTEN:
        raise UsageError(
            f"{out}: captions are not written as {ending}; there are "
            f"{', '.join(sorted(_BY_ENDING))} and .txt, or give --format"
        )
    return _BY_ENDING.get(ending, Format.TEXT)
