"""The page's modules as a house: every import leads somewhere, and none leads up. No browser."""

from __future__ import annotations

import re

from serving.api.pages import WEB
from tests.web.modules import ENTRY, GRAPH, PAGE, SCRIPTS, reached, room, target, with_preloads

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

_NAMES = re.compile(r"""^import\s+\{([^}]*)\}\s+from\s+["']([^"']+)["']""", re.MULTILINE)
_EXPORT = re.compile(
    r"^export\s+(?:async\s+)?(?:function\*?|class|const|let)\s+([\w$]+)", re.MULTILINE
)


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


def test_the_page_asks_for_all_its_modules_at_once() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert re.findall(r'<script[^>]* src="js/([^"]+)"', text) == [ENTRY]
    assert text == with_preloads(text), "write the list anew: python -m tests.web.modules"


def test_the_documentation_has_one_script_and_no_modules() -> None:
    text = (WEB / "docs.html").read_text(encoding="utf-8")
    assert re.findall(r'<script[^>]* src="js/([^"]+)"', text) == ["docs.js"]
    assert 'type="module"' not in text and "modulepreload" not in text
