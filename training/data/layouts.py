"""How a data set lies in its folder: which files hold its captions, and where its pictures are.

One folder may hold the same pictures in several layouts, cut into splits in different ways: COCO's
own files of 2014 and of 2017 beside Karpathy's. What one trains on another tests on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_YEARS = ("2017", "2014", "")
_PLAIN = "plain"
_CAPTIONS = re.compile(r"captions_.+?(2017|2014)?\.json")


@dataclass(frozen=True)
class Layout:
    """Where the captions and pictures of a data set are.

    Attributes:
        name: for `--layout`: `2017`, `2014`, `plain`, the same under `cocoapi/`, or the name of a
            file of Karpathy's.
        root: the folder that its files are under.
        year: in the official files' names; empty for plain ones.
        karpathy: Karpathy's file, if that is what it is.
    """

    name: str
    root: Path
    year: str = ""
    karpathy: Path | None = None

    def annotations(self, split: str) -> Path:
        """Return the official captions file of a split, there or not."""
        return self.root / "annotations" / f"captions_{split}{self.year}.json"

    def folders(self, split: str) -> list[Path]:
        """Return where the pictures of a split may lie."""
        named = f"{split}{self.year}"
        more = [] if self.year else [self.root / "images"]
        return [self.root / named, self.root / "images" / named, *more]


def find_layouts(directory: Path) -> dict[str, Layout]:
    """Return the layouts that a folder holds captions in, by name."""
    found = []
    for prefix, root in (("", directory), ("cocoapi/", directory / "cocoapi")):
        names = [path.name for path in (root / "annotations").glob("captions_*.json")]
        years = {match[1] or "" for name in names if (match := _CAPTIONS.fullmatch(name))}
        found += [
            Layout(f"{prefix}{year or _PLAIN}", root, year) for year in _YEARS if year in years
        ]
    karpathy = sorted(directory.glob("dataset*.json"))
    found += [Layout(path.name, directory, karpathy=path) for path in karpathy]
    return {layout.name: layout for layout in found}
