"""Captions that are there already, to be looked at: of a table, or of text files."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from captionbox.cli.output.endings import UsageError
from captionbox.cli.output.formats import unguard
from captionbox.cli.sources.sources import identity
from captionbox.cli.texts.sidecars import Sidecars


@dataclass
class Captioned:
    """An image with a caption.

    Attributes:
        source: its path.
        caption: as it was found.
        confidence: 0 to 1; None where nobody tells.
        accepted: the text that a person has accepted; None while there is none.
    """

    source: str
    caption: str
    confidence: float | None = None
    accepted: str | None = None


def of_table(path: Path, sources: Sequence[str]) -> list[Captioned]:
    """Return the captions that a CSV or JSON Lines file has for the images, least sure first.

    Raises:
        UsageError: it cannot be read as what its ending says.
    """
    wanted = {identity(source): source for source in sources}
    found: dict[str, Captioned] = {}
    try:
        for image, caption, confidence in _rows(path):
            source = wanted.get(identity(image))
            if source is not None and caption:
                found[source] = Captioned(source, caption, confidence)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, csv.Error) as error:
        raise UsageError(f"{path} is no table of captions: {error}") from error
    return sorted(found.values(), key=lambda it: 2 if it.confidence is None else it.confidence)


def of_texts(sources: Sequence[str], extension: str) -> list[Captioned]:
    """Return the captions in the text files next to the images."""
    sidecars, found = Sidecars(None, True, False, extension=extension), []
    for source in sources:
        try:
            text = sidecars.texts(source).read_text(encoding="utf-8-sig").strip()
        except (OSError, ValueError):
            continue
        if text:
            found.append(Captioned(source, text))
    return found


def _rows(path: Path) -> Iterator[tuple[str, str, float | None]]:
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        if path.suffix.lower() == ".csv":
            for row in csv.DictReader(file):
                told = row.get("confidence")
                yield unguard(row["image"]), row["caption"], float(told) if told else None
            return
        for line in file:
            record = json.loads(line)
            told = record.get("confidence", (record.get("result") or {}).get("confidence"))
            yield record.get("image", record.get("source")), record.get("caption", ""), told
