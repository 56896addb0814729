"""Which picture a visitor sees, and whether it is to have a text."""

from __future__ import annotations

import base64
import io
import struct
from pathlib import Path
from typing import Any

import pytest
from captionbox.cli.sources.html_images import missing_alt, read_page
from captionbox.cli.sources.img_tags import first_of_set, is_spacer, needs_text
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.client.conftest import Captionbox
from tests.client.stand_in import StandIn, caption_of, picture

DOT = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"


def shown(page: str) -> list[str]:
    return [address for _, address in missing_alt(read_page(page.encode()))]


@pytest.mark.parametrize(
    "tag",
    [
        "<img src=a.jpg>",
        f"<img src='{DOT}' data-src=a.jpg>",
        "<img class=lazyload src=spacer.gif data-src=a.jpg>",
        "<img src=/img/blank.png data-original=a.jpg>",
        "<img src=real-but-small.jpg data-src=a.jpg>",
        "<img src=spacer.gif data-srcset='a.jpg 1x, b.jpg 2x'>",
        "<img src='' data-lazy-srcset='a.jpg 300w'>",
        "<img srcset='a.jpg 1x'>",
        "<img src=# srcset='a.jpg, b.jpg 2x'>",
        "<img src=loading.gif data-anything=a.jpg>",
        "<img src=1x1.png data-number=3 data-lazy=true data-photo=a.jpg>",
        "<img src=a.jpg data-lazy=true data-original=3>",
        "<img src=a.jpg data-src='{{ late }}'>",
        f"<img src=a.jpg data-src='{DOT}'>",
        "<img src=a.jpg srcset='b.jpg 2x' data-zoom=c.jpg>",
        "<picture><source srcset=a.jpg><img src=spacer.gif></picture>",
        "<picture><source data-srcset='a.jpg 2x'><source srcset=b.jpg><img></picture>",
        "<picture><source srcset=b.webp><img src=a.jpg></picture>",
        "<picture><source srcset=x.webp><img alt='' src=x></picture><picture><img src=a.jpg>",
    ],
)
def test_the_picture_a_visitor_sees(tag: str) -> None:
    assert shown(tag) == ["a.jpg"]


def test_a_placeholder_alone_is_what_it_is() -> None:
    assert shown(f"<img src='{DOT}'><img src=spacer.gif><img data-x=1>") == [DOT, "spacer.gif", ""]


@pytest.mark.parametrize(
    "attributes",
    [
        ":alt=x", "v-bind:alt=x", "x-bind:alt=x", "[alt]=x", "[attr.alt]=x", "bind-alt=x",
        "ng-attr-alt=x", "data-ng-attr-alt=x", "th:alt=x", "t-att-alt=x", "alt.bind=x", "{alt}",
        ".alt=x", ":alt.prop=x", "ALT=x", "data-bind='attr: {src: a, alt: b}'",
        "data-i18n='[alt]key'", "aria-label=Dog", "aria-labelledby=dog", "role=none",
        "style='width:1px;height:1px'", "style='HEIGHT: 0; color: red; width: 1px !important'",
        "width=1px height=1", "width=1 style='height:1px'", "aria-hidden=true",
    ],
)  # fmt: skip
def test_no_text_is_missing(attributes: str) -> None:
    assert shown(f"<img {attributes} src=a.jpg>") == []


@pytest.mark.parametrize(
    "attributes",
    [
        "data-alt=x", "salt=x", "altitude=3", ":src=x", "aria-label=''", "title=alt",
        "style='max-width:1px;height:1px'", "style='width:100%;height:1px'", "width=1",
        "style='width:1.5em;height:1px'", "width=1 height=1 style='width:200px;height:200px'",
        "data-bind='attr: {src: a}'", "v-if=alt", "role=img",
    ],
)  # fmt: skip
def test_a_text_is_missing(attributes: str) -> None:
    assert shown(f"<img {attributes} src=a.jpg>") == ["a.jpg"]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("", ""),
        (" , a.jpg 1x", "a.jpg"),
        ("a.jpg", "a.jpg"),
        ("a,b.jpg 1x, c.jpg 2x", "a,b.jpg"),
        ("a.jpg, b.jpg 2x", "a.jpg"),
        ("a.jpg,", "a.jpg"),
        ("data:image/png;base64,AA== 1x", "data:image/png;base64,AA=="),
        ("\n  https://h/i?w=1,2\t300w", "https://h/i?w=1,2"),
    ],
)
def test_sets(text: str, address: str) -> None:
    assert first_of_set(text) == address


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=20)))
def test_no_attributes_are_too_odd(attributes: dict[str, str]) -> None:
    needs_text(attributes)
    assert first_of_set(" ".join(attributes.values())).strip(" \t\n\f\r,") == first_of_set(
        " ".join(attributes.values())
    ).strip(" \t\n\f\r,")


@given(st.binary(max_size=64))
def test_no_file_is_too_odd(start: bytes) -> None:
    for mark in (
        b"",
        b"GIF89a",
        b"\x89PNG\r\n\x1a\n",
        b"RIFF\0\0\0\0WEBPVP8L",
        b"RIFF\0\0\0\0WEBPVP8X",
    ):
        is_spacer(mark + start)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [("GIF", {}), ("PNG", {}), ("WEBP", {"lossless": True}), ("WEBP", {"exif": b"Exif\0\0II*\0"})],
)
@pytest.mark.parametrize(
    ("size", "tiny"), [((1, 1), True), ((3, 2), True), ((1, 40), False), ((4, 4), False)]
)
def test_spacers(kind: str, settings: dict[str, Any], size: tuple[int, int], tiny: bool) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", size, "red").save(buffer, kind, **settings)
    assert is_spacer(buffer.getvalue()[:32]) is tiny


def test_spacers_get_no_text(captionbox: Captionbox, tmp_path: Path, stand_in: StandIn) -> None:
    root = tmp_path / "site"
    root.mkdir()
    (root / "a.jpg").write_bytes(picture("a"))
    Image.new("L", (1, 1)).save(root / "dot.png")
    page = root / "index.html"
    content = f"<img src=dot.png><img src='{DOT}'><img src=dot.png data-src=a.jpg>"
    page.write_text(content)
    captionbox("alt", "site")
    assert page.read_text(encoding="utf-8") == content.replace(
        "<img src=dot.png data", f'<img alt="{caption_of(picture("a"))}" src=dot.png data'
    )
    assert stand_in.asked == {"a.jpg": 1}


def test_what_the_server_calls_a_dot_gets_no_text(
    captionbox: Captionbox, tmp_path: Path, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.client.stand_in.SIZE", (1, 1))
    page = tmp_path / "page.html"
    page.write_text("<img src=http://host/count?visitor>")
    captionbox("alt", "page.html")
    assert page.read_text(encoding="utf-8") == "<img src=http://host/count?visitor>"
    assert sum(stand_in.asked.values()) == 1


@pytest.mark.parametrize(
    "address", ["{{ image.url }}", "<?= $image ?>", "<%= image %>", "${image}", "{% static 'a' %}"]
)
def test_templates_are_left_alone(captionbox: Captionbox, tmp_path: Path, address: str) -> None:
    page = tmp_path / "page.html"
    page.write_text(f'<img src="{address}">')
    done = captionbox("alt", "page.html")
    assert b"is left alone" in done.stderr and "alt" not in page.read_text(encoding="utf-8")


def test_a_tiny_jpeg_is_for_the_server_to_tell() -> None:
    assert not is_spacer(base64.b64decode("/9j/4AAQSkZJRgABAQEAYABgAAD/2wBD") + struct.pack("8x"))
