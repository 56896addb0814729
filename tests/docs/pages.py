"""The pages for people: which there are, and what of them can be compared with the code."""

from __future__ import annotations

import re
from pathlib import Path

from tests.server import ROOT

README = ROOT / "README.md"
PAGES = tuple(
    path
    for pattern in (
        "README.md",
        "docs/*.md",
        "*/README.md",
        "deploy/*/README.md",
        "benchmarks/*.md",
    )
    for path in sorted(ROOT.glob(pattern))
)
"""Every page that is written by hand, the README first."""

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def name(page: Path) -> str:
    """Return a page's path from the root, to call a test by."""
    return page.relative_to(ROOT).as_posix()


def read(page: Path) -> str:
    """Return a page's text."""
    return page.read_text(encoding="utf-8")


def blocks(page: Path, *languages: str) -> list[str]:
    """Return the fenced blocks; of these languages only, where any is named."""
    return [
        text
        for language, text in _FENCE.findall(read(page))
        if not languages or language in languages
    ]


def code(page: Path) -> list[str]:
    """Return everything that is set as code: fenced blocks, lines joined, and spans."""
    joined = [text.replace("\\\n", " ") for text in blocks(page)]
    return [*joined, *_SPAN.findall(_FENCE.sub("", read(page)))]


def links(page: Path) -> list[str]:
    """Return the targets of all links and pictures; what is set as code has none."""
    prose = _FENCE.sub("", read(page))
    return _LINK.findall(_SPAN.sub("`code`", prose))


def anchors(page: Path) -> set[str]:
    """Return the names that a page's headings can be linked to by, as GitHub makes them."""
    headings = _HEADING.findall(_FENCE.sub("", read(page)))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
