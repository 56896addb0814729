"""The page's modules as a house: every import leads somewhere, and none leads up. No browser."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

import pytest

from serving.api.pages import WEB

JS = WEB / "js"

ENTRIES = ("main.js", "docs.js")
"""The scripts that the two pages name; all else is there because one of them imports it."""

FLOORS = {
    "lib": set[str](),  # elements, queues: knows of no captions and no server
    "server": {"lib"},  # what it answers, offers and refuses, and its key
    "export": {"lib"},  # captions as files
    "options": {"lib", "server"},  # the form, and the fields of a request
    "card": {"lib", "server"},  # one picture, its captions, where the model looked
    "matching": {"lib", "server"},  # the other tab
    "set": {"lib", "server", "options", "export"},  # all pictures, and what is done with them
}
"""A room of `web/js` and the rooms that it may import; the entries may import all of them."""

MOST_FILES = 16
MOST_LINES = 300

# A comment that quotes an import would be read as one: no module has a reason to.
_IMPORT = re.compile(
    r"""^\s*(?:import|export)\s(?:[\w*$\s{},]*\sfrom\s+)?["']([^"']+)["']|\bimport\(\s*([^)]*)\)""",
    re.MULTILINE,
)
_NAMES = re.compile(r"""^import\s+\{([^}]*)\}\s+from\s+["']([^"']+)["']""", re.MULTILINE)
_EXPORT = re.compile(
    r"^export\s+(?:async\s+)?(?:function\*?|class|const|let)\s+([\w$]+)", re.MULTILINE
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


def test_every_import_is_there() -> None:
    for name, imported in GRAPH.items():
        assert imported <= set(SCRIPTS), name


def test_every_imported_name_is_exported_and_every_exported_name_imported() -> None:
    exported = {name: set(_EXPORT.findall(text)) for name, text in SCRIPTS.items()}
    used: dict[str, set[str]] = {name: set() for name in SCRIPTS}
    for name, text in SCRIPTS.items():
        statements = _NAMES.findall(text)
        assert {target(name, module) for _, module in statements} == GRAPH[name], name
        for names, module in statements:
            given = (each.split(" as ")[0].strip() for each in names.split(","))
            used[target(name, module)] |= set(given) - {""}
    for name in SCRIPTS:
        assert exported[name] == used[name], name


def test_no_import_leads_up_or_round() -> None:
    rooms = list(FLOORS)
    for name, below in FLOORS.items():
        assert below <= set(rooms[: rooms.index(name)]), f"{name} stands below what it imports"
    for name, imported in GRAPH.items():
        if name not in ENTRIES:
            allowed = FLOORS[room(name)] | {room(name)}
            assert {room(each) for each in imported} <= allowed, name
        assert all(name not in reached(each) for each in imported), f"{name} imports itself"


def test_no_file_is_left_over() -> None:
    assert {name for name in SCRIPTS if not room(name)} == set(ENTRIES)
    assert {room(name) for name in SCRIPTS} - {""} == set(FLOORS)
    assert set.union(*map(reached, ENTRIES)) == set(SCRIPTS)
    assert reached("docs.js") == {"docs.js"}, "docs.js is not a module: it can import nothing"


def test_rooms_and_files_stay_small() -> None:
    for name in FLOORS:
        assert len([each for each in SCRIPTS if room(each) == name]) <= MOST_FILES, name
    for name, text in SCRIPTS.items():
        assert len(text.splitlines()) < MOST_LINES, f"{name} holds more than one idea"


@pytest.mark.parametrize(("page", "entry"), [("index.html", "main.js"), ("docs.html", "docs.js")])
def test_the_page_asks_for_all_its_modules_at_once(page: str, entry: str) -> None:
    text = (WEB / page).read_text(encoding="utf-8")
    assert re.findall(r'<script[^>]* src="js/([^"]+)"', text) == [entry]
    modules = sorted(reached(entry)) if 'type="module"' in text else []
    assert re.findall(r'rel="modulepreload" href="js/([^"]+)"', text) == modules
