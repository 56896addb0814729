"""The tables that are made from the code are those that the code makes now."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from models.api.options import CaptionOptions
from serving.api.openai.responses import schemas as responses
from serving.api.openai.responses.schemas import ResponsesRequest
from serving.api.openai.schemas import EXTENSIONS, IGNORED, REFUSED, ChatRequest
from serving.base.problems import KINDS
from serving.base.settings import PREFIX, Settings
from tests.docs import tables
from tests.docs.pages import PAGES, ROOT, name, read

SETTINGS = read(ROOT / "docs/settings.md")


def first_cells(page: str, table: str) -> list[str]:
    """Return what stands first in each row of one of a page's tables."""
    return re.findall(r"^\| `([^`]+)` \|", tables.places(ROOT / page)[table], re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_tables_are_up_to_date(page: Path) -> None:
    assert read(page) == tables.renewed(page), "`make docs` writes them anew"


def test_every_table_has_its_page() -> None:
    found = [table for page in PAGES for table in tables.places(page)]
    assert sorted(found) == sorted(tables.TABLES)


def test_every_setting_is_listed_with_its_default_and_description() -> None:
    for field_name, field in Settings.model_fields.items():
        default = field.default
        if isinstance(default, tuple):
            default = ",".join(map(str, default))
        shown = f"`{default}`" if default not in (None, "") else "none"
        if field_name in tables.COMPUTED:
            shown = "automatic"
        assert f"| `{PREFIX}{field_name.upper()}` | {shown} | {field.description} |" in SETTINGS


def test_no_setting_is_listed_that_is_not_there() -> None:
    listed = set(re.findall(rf"^\| `{PREFIX}(\w+)`", SETTINGS, re.MULTILINE))
    assert listed == {field.upper() for field in Settings.model_fields}


def test_every_option_is_listed() -> None:
    listed = set(first_cells("docs/http.md", "options"))
    assert listed == {*CaptionOptions.model_fields, "model", "id"}


def test_every_captioning_route_takes_the_options_listed() -> None:
    listed = set(first_cells("docs/http.md", "options"))
    for path, picture in (
        ("/caption", "image"),
        ("/caption_url", "url"),
        ("/caption_batch", "images"),
    ):
        assert set(tables.form_fields(path)) == {*listed, picture}


def test_limits_are_shown() -> None:
    rows = tables.places(ROOT / "docs/http.md")["options"]
    for row in (
        "| `num_captions` | 1 to 10 |",
        "| `length_penalty` | -2 to 5 |",
        "| `temperature` | above 0, at most 5 |",
        "| `seed` | whole number from 0 |",
        "| `attention` | true, false |",
        "| `model` | a served model |",
    ):
        assert row in rows


def test_every_kind_of_problem_is_listed() -> None:
    rows = tables.places(ROOT / "docs/http.md")["problems"]
    listed = re.findall(r"^\| (\d+) \| `/problems/(\S+)` \|", rows, re.MULTILINE)
    assert {slug: int(status) for status, slug in listed} == {
        slug: kind.status for slug, kind in KINDS.items()
    }
    assert [status for status, _ in listed] == sorted(status for status, _ in listed)


def test_every_parameter_of_openais_is_somewhere() -> None:
    page = "docs/openai.md"
    assert set(first_cells(page, "chat")) == set(ChatRequest.model_fields)
    assert set(first_cells(page, "chat-refused")) == set(REFUSED)
    ignored = tables.places(ROOT / page)["chat-ignored"]
    assert set(re.findall(r"`([^`]+)`", ignored)) == {*IGNORED, *EXTENSIONS}
    assert set(tables.form_fields("/v1/chat/completions")) == {
        *ChatRequest.model_fields,
        *REFUSED,
        *IGNORED,
        *EXTENSIONS,
    }


def test_every_parameter_of_responses_is_somewhere() -> None:
    page = "docs/openai.md"
    assert set(first_cells(page, "responses")) == set(ResponsesRequest.model_fields)
    assert set(first_cells(page, "responses-refused")) == set(responses.REFUSED)
    ignored = tables.places(ROOT / page)["responses-ignored"]
    assert set(re.findall(r"`([^`]+)`", ignored)) == {*responses.IGNORED, *EXTENSIONS}


def test_a_table_that_has_fallen_behind_is_renewed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "Before.\n\n<!-- made by `make docs`: settings -->\nOf yesterday.\n<!-- end -->\n\nAfter.\n"
    )
    text = tables.renewed(page)
    assert "Of yesterday" not in text and tables.settings() in text
    assert text.startswith("Before.\n\n<!-- made") and text.endswith("<!-- end -->\n\nAfter.\n")
    page.write_text(text)
    assert tables.renewed(page) == text
