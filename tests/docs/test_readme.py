"""The README is a door: short, the two commands first, and every page one step behind it."""

from __future__ import annotations

import re

from tests.docs.pages import PAGES, README, ROOT, code, links, name, read

MOST_LINES = 150


def test_it_is_a_door_and_not_a_manual() -> None:
    assert len(read(README).splitlines()) <= MOST_LINES


def test_both_commands_come_first() -> None:
    text = read(README)
    assert text.index("make serve") < text.index("make test") < text.index("## Ask it")


def test_it_has_the_picture() -> None:
    assert "![The web page with six captioned pictures](docs/screenshot.png)" in read(README)


def test_its_models_are_brought_as_the_page_on_models_says() -> None:
    brought = [text for text in code(README) if text.startswith("python -m models import")]
    served = [text for text in code(README) if re.match(r"CAPTIONBOX_\w+=\S+ make serve$", text)]
    assert len(brought) >= 3 and len(served) > len(brought)
    assert {*brought, *served} <= set(code(ROOT / "docs/models.md"))


def test_every_page_is_one_step_behind_it() -> None:
    reached = {(ROOT / link).resolve() for link in links(README) if "://" not in link}
    pages = {page for page in PAGES if name(page).startswith(("docs/", "client/", "training/"))}
    assert pages and pages <= reached
