"""The page's modules and what each imports; run, it writes the list of those that a page asks for.

python -m tests.web.modules
"""

from __future__ import annotations

import re
import sys
from pathlib import Path, PurePosixPath

from serving.api.pages import WEB

JS = WEB / "js"
PAGE = WEB / "index.html"
ENTRY = "main.js"

_PRELOAD = re.compile(r'( *)<link rel="modulepreload"[^>]*>\n')

# A comment that quotes an import would be read as one: no module has a reason to.
_IMPORT = re.compile(
    r"""^\s*(?:import|export)\s(?:[\w*$\s{},]*\sfrom\s+)?["']([^"']+)["']|\bimport\(\s*([^)]*)\)""",
    re.MULTILINE,
)


def read(directory: Path) -> dict[str, str]:
    """Return the text of every script below a directory, by its path from there."""
    return {
        path.relative_to(directory).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(directory.rglob("*.js"))
    }


def target(importer: str, specifier: str) -> str:
    """Return the path that an import of a module means; fails unless it is relative and inside."""
    assert specifier.startswith(("./", "../")), f"{importer}: {specifier} is not relative"
    parts: list[str] = []
    for part in (PurePosixPath(importer).parent / specifier).parts:
        if part == "..":
            assert parts, f"{importer}: {specifier} leads out of web/js"
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)


def imports(name: str, text: str) -> set[str]:
    """Return the paths of what a module imports, at once or later."""
    found = set()
    for static, dynamic in _IMPORT.findall(text):
        assert static or re.fullmatch(r"""["'][^"']+["']""", dynamic), f"{name}: import({dynamic})"
        found.add(target(name, static or dynamic[1:-1]))
    return found


SCRIPTS = read(JS)
GRAPH = {name: imports(name, text) for name, text in SCRIPTS.items()}


def reached(start: str) -> set[str]:
    """Return what the browser loads for one entry, the entry too."""
    found: set[str] = set()
    left = [start]
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left.extend(GRAPH[name])
    return found


def room(name: str) -> str:
    """Return the room that a module is in; empty for an entry."""
    return name.rpartition("/")[0]


def with_preloads(page: str) -> str:
    """Return a page's text with a link for every module that its entry needs, and for no other."""
    first = _PRELOAD.search(page)
    assert first, "a page has at least one link to begin with"
    links = (
        f'{first[1]}<link rel="modulepreload" href="js/{name}">\n'
        for name in sorted(reached(ENTRY))
    )
    rest = _PRELOAD.sub("", page[first.start() :])
    return page[: first.start()] + "".join(links) + rest


def main() -> int:
    """Write the list into the page."""
    PAGE.write_text(with_preloads(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
