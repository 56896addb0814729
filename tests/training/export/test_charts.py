"""Charts as files, and the templates that write them and the report."""

from xml.etree import ElementTree

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from training.export.charts import PALETTE, Timelines, bars, histogram, line_chart, timelines
from training.export.rendering import render

SVG = "{http://www.w3.org/2000/svg}"
EVIL = '<script>alert("x")</script>&'


def parsed(text: str) -> ElementTree.Element:
    """Return a file's drawing: well-formed, with nothing that runs or is fetched."""
    root = ElementTree.fromstring(text)
    assert root.tag == f"{SVG}svg"
    known = {"svg", "style", "rect", "line", "text", "polyline", "circle", "title"}
    assert {element.tag for element in root.iter()} <= {SVG + name for name in known}
    assert "url(" not in text and "href" not in text
    return root


def words_of(root: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in root.iter(f"{SVG}text")]


def test_bars_have_one_scale_their_colour_and_their_number() -> None:
    groups = {f"greedy {EVIL}": [1.0, 2.0], "beams": [4.0, 0.5]}
    root = parsed(bars("times as fast", ["them", "us & co"], groups, ["#999", "#0b6b62"]))
    found = [e for e in root.iter(f"{SVG}rect") if e.get("class") == "bar"]
    widths = [float(e.get("width", "")) for e in found]
    assert [width / max(widths) for width in widths] == pytest.approx([0.25, 0.5, 1, 0.125], 0.01)
    assert [e.get("fill") for e in found] == ["#999", "#0b6b62"] * 2
    words = words_of(root)
    assert words[:2] == ["times as fast", f"greedy {EVIL}"]
    assert words.count("us & co") == 2
    assert {"1.00", "2.00", "4.00", "0.50"} <= set(words)
    with pytest.raises(ValueError):
        bars("t", ["one"], {"g": [1.0, 2.0]}, ["#999"])


def test_timelines_tell_which_line_is_which() -> None:
    lines = {"protected": [(1.0, 5.0), (60.0, 6.0)], EVIL: [(1.0, 2.0), (60.0, 0.0)]}
    panels = [Timelines("answers a second", lines, ("peak", 8.0)), Timelines("MiB", {"none": []})]
    root = parsed(timelines("overload", panels, 60))
    drawn = list(root.iter(f"{SVG}polyline"))
    assert [e.get("stroke") for e in drawn] == [PALETTE[0], PALETTE[1], PALETTE[0]]
    assert drawn[2].get("points") == ""
    words = words_of(root)
    assert {"answers a second", "MiB", "peak", "protected", EVIL, "0", "60"} <= set(words)
    colours = [e.get("style") for e in root.iter(f"{SVG}text") if e.text in ("protected", EVIL)]
    assert colours == [f"fill:{PALETTE[0]}", f"fill:{PALETTE[1]}"]


@given(values=st.lists(st.floats(0, 1e6), min_size=1, max_size=50), peak=st.floats(0.1, 1e6))
def test_any_timeline_stays_inside_its_panel(values: list[float], peak: float) -> None:
    line = [(float(second), value) for second, value in enumerate(values)]
    panels = [Timelines("a", {"x": line}, ("peak", peak)), Timelines("b", {"x": line})]
    root = parsed(timelines("t", panels, len(values)))
    for number, drawn in enumerate(root.iter(f"{SVG}polyline")):
        for place in drawn.get("points", "").split():
            x, y = map(float, place.split(","))
            assert 63.9 <= x <= 610.1
            assert number * 300 + 29.9 <= y <= number * 300 + 240.1


def test_a_chart_in_a_page_leaves_its_look_to_the_page() -> None:
    for chart in (line_chart("t", [(0, 1), (1, 2)], "x", "y"), histogram("t", [1, 2], "x")):
        assert isinstance(chart, Markup)
        assert not [look for look in ("<style", "fill", "stroke", "#", "xmlns") if look in chart]


def test_templates_escape_and_miss_nothing() -> None:
    drawing = {"width": 1, "height": 1, "title": EVIL}
    parts = dict.fromkeys(("rules", "texts", "bars", "lines", "dots"), ())
    text = render("chart.svg.j2", drawing={**drawing, **parts}, file=False)
    assert "<script" not in text and "&lt;script&gt;" in text
    with pytest.raises(jinja2.UndefinedError, match="rules"):
        render("chart.svg.j2", drawing=drawing, file=False)
