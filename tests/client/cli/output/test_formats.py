"""Every format: what it looks like, and that every image's name survives the round trip."""

from __future__ import annotations

import csv
import html.parser
import json
import os

import pytest
from captionbox.cli.output.formats import LINE_FORMATS, LineFormat, Record, one_line
from captionbox.cli.sources.sources import identity, tidy
from captionbox.errors import CaptionboxError, ImageInputError, status_error
from captionbox.problems import Problem
from captionbox.results import CaptionResult
from hypothesis import example, given
from hypothesis import strategies as st

from tests.client.stand_in import answer_to

# A file name is any bytes but a null and a slash, as Python decodes them.
NAMES = st.binary(min_size=1, max_size=30).map(
    lambda raw: os.fsdecode(raw.replace(b"\0", b"0").replace(b"//", b"/"))
)
URLS = st.text(max_size=30).map(lambda text: "http://host/" + text)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=40)


def result(text: str, *further: str) -> CaptionResult:
    answer = answer_to(b"", {"num_captions": 1 + len(further)})
    for caption, one in zip(answer["captions"], (text, *further), strict=True):
        caption["text"] = one
    return CaptionResult.model_validate(answer)


@pytest.mark.parametrize("name", LINE_FORMATS)
@given(source=NAMES | URLS, caption=TEXTS, reason=TEXTS)
@example(source='a"b,c\td\n e](f).jpg', caption='"quoted", <b>&]() --> ', reason="-->")
@example(source="--> x.jpg", caption="", reason="")
@example(source='"{}', caption="\u2028\x85", reason="\r")
def test_a_line_is_one_line_and_tells_its_image(
    name: str, source: str, caption: str, reason: str
) -> None:
    lines: LineFormat = LINE_FORMATS[name]()
    source = tidy(source)
    for record, failed in (
        (Record(source, result=result(caption)), False),
        (Record(source, error=ImageInputError(reason or "no")), True),
    ):
        line = lines.line(record)
        data = line.encode("utf-8", "surrogateescape")
        assert b"\n" not in data
        assert b"\r" not in data
        entry = lines.read(data.decode("utf-8", "surrogateescape"))
        assert identity(entry.source) == identity(source)
        assert entry.failed is failed


@pytest.mark.parametrize("name", LINE_FORMATS)
@given(line=st.text(max_size=60).filter(lambda text: "\t" not in text and "\n" not in text))
@example("a,b,c,d,e")
@example('{"source": 3}')
@example("![]()")
@example("[" * 100_000)
def test_lines_of_other_files_are_refused(name: str, line: str) -> None:
    try:
        LINE_FORMATS[name]().read(line)
    except (ValueError, RecursionError, csv.Error):
        return
    # Only what looks exactly like a record may pass for one.
    assert name == "csv" or line.startswith(("{", "![", "<"))


def test_what_they_look_like() -> None:
    good = Record("a b.jpg", result=result('A "dog" & [cat].', "Two   animals."))
    problem = Problem(status=422, title="Broken image", detail="Truncated -- sadly.")
    bad = Record("b.jpg", error=status_error(problem))
    reason = "422 Broken image: Truncated -- sadly."
    shown = {
        name: (made().line(good), made().line(bad))
        for name, made in LINE_FORMATS.items()
        if name != "jsonl"
    }
    assert shown == {
        "text": ('a b.jpg\tA "dog" & [cat].', f"b.jpg\t\terror: {reason}"),
        "csv": (
            'a b.jpg,"A ""dog"" & [cat].",0.5000,Two animals.,compact,',
            f"b.jpg,,,,,{reason}",
        ),
        "md": (
            r'![A "dog" \& \[cat\].](a%20b.jpg)',
            "<!-- captionbox: b.jpg failed: 422 Broken image: Truncated - - sadly. -->",
        ),
        "html-alt": (
            '<img src="a%20b.jpg" alt="A &quot;dog&quot; &amp; [cat].">',
            "<!-- captionbox: b.jpg failed: 422 Broken image: Truncated - - sadly. -->",
        ),
    }


def test_jsonl_tells_everything() -> None:
    lines = LINE_FORMATS["jsonl"]()
    line = json.loads(lines.line(Record("a.jpg", result=result("A dög.", "Two."))))
    assert line["image"] == "a.jpg"
    assert line["caption"] == "A dög."
    assert [caption["text"] for caption in line["result"]["captions"]] == ["A dög.", "Two."]
    assert line["result"]["model"]["name"] == "compact"
    problem = Problem(status=422, title="Broken image", request_id="r1")
    line = json.loads(lines.line(Record("a.jpg", error=status_error(problem))))
    assert line["error"] == {"status": 422, "title": "Broken image", "request_id": "r1"}
    line = json.loads(lines.line(Record("a.jpg", error=CaptionboxError("odd"))))
    assert line["error"] == {"title": "CaptionboxError", "detail": "odd"}


@given(source=NAMES, caption=TEXTS)
def test_html_is_read_by_a_browser_as_it_was_meant(source: str, caption: str) -> None:
    seen: list[dict[str, str | None]] = []

    class Reader(html.parser.HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            assert tag == "img"
            seen.append(dict(attrs))

    Reader().feed(LINE_FORMATS["html-alt"]().line(Record(source, result=result(caption))))
    assert len(seen) == 1
    assert set(seen[0]) == {"src", "alt"}
    assert seen[0]["alt"] == one_line(caption)


def test_records_of_older_versions_are_known() -> None:
    entry = LINE_FORMATS["jsonl"]().read('{"source": "a.jpg", "caption": "A dog."}')
    assert (entry.source, entry.failed, entry.empty) == ("a.jpg", False, False)
