"""Images in pages: found where a browser finds them, and not one other byte changed."""

from __future__ import annotations

import codecs
import html.parser

import pytest
from captionbox.cli.sources.html_images import (
    PageError,
    base_address,
    fill_alt,
    missing_alt,
    read_page,
    start_tags,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st


def filled(page: bytes, caption: str = "CAP") -> bytes:
    return fill_alt(read_page(page), lambda _: caption)[0]


def addresses(page: bytes) -> list[str]:
    return [source for _, source in missing_alt(read_page(page))]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"<img src=a.png>", b'<img alt="CAP" src=a.png>'),
        (b"<img src=a.png/>", b'<img alt="CAP" src=a.png/>'),
        (b"<img src='a.png' />", b"<img alt=\"CAP\" src='a.png' />"),
        (b"<IMG\r\n\tSRC=a.png>", b'<IMG alt="CAP"\r\n\tSRC=a.png>'),
        (b"<img/src=a.png>", b'<img alt="CAP"/src=a.png>'),
        (b'<img title="alt" src=a.png>', b'<img alt="CAP" title="alt" src=a.png>'),
        (b'<img title="a > b" src=a.png>', b'<img alt="CAP" title="a > b" src=a.png>'),
        (b"<img data-alt=x src=a.png>", b'<img alt="CAP" data-alt=x src=a.png>'),
        (b"<img src=a.png aria-hidden=false>", b'<img alt="CAP" src=a.png aria-hidden=false>'),
        (b"<img src=a.png width=1 height=20>", b'<img alt="CAP" src=a.png width=1 height=20>'),
        (b"<p><a href=x><img src=a.png></a>", b'<p><a href=x><img alt="CAP" src=a.png></a>'),
        (b"a < b <img src=a.png>", b'a < b <img alt="CAP" src=a.png>'),
        (b"<!-- x --><img src=a>", b'<!-- x --><img alt="CAP" src=a>'),
        (b"<!--> <img src=a> -->", b'<!--> <img alt="CAP" src=a> -->'),
        (b"<!-- a --!><img src=a>", b'<!-- a --!><img alt="CAP" src=a>'),
        (b"<?php x ?><img src=a>", b'<?php x ?><img alt="CAP" src=a>'),
        (b"</ nothing><img src=a>", b'</ nothing><img alt="CAP" src=a>'),
        (b"<script>x</script ><img src=a>", b'<script>x</script ><img alt="CAP" src=a>'),
        (b"<script><!-- </script><img src=a>", b'<script><!-- </script><img alt="CAP" src=a>'),
        (
            b"<script><!--<script>--></script><img src=a>",
            b'<script><!--<script>--></script><img alt="CAP" src=a>',
        ),
        (b"<![CDATA[ ><img src=a>", b'<![CDATA[ ><img alt="CAP" src=a>'),
        (b"<noscript><img src=a></noscript>", b'<noscript><img alt="CAP" src=a></noscript>'),
        (b"<img src=a.png src=b.png>", b'<img alt="CAP" src=a.png src=b.png>'),
        (b"<img =x src=a>", b'<img alt="CAP" =x src=a>'),
        (b"<img src=>", b'<img alt="CAP" src=>'),
        (b'<img src="a">\x00\xff\x80', b'<img alt="CAP" src="a">\x00\xff\x80'),
    ],
)
def test_filled(before: bytes, after: bytes) -> None:
    if b"\0" in before:
        before, after = before.replace(b"\0", b""), after.replace(b"\0", b"")
    assert filled(before) == after
    assert filled(after) == after


@pytest.mark.parametrize(
    "page",
    [
        b'<img alt="" src=a.png>',
        b"<img alt src=a.png>",
        b"<img src=a.png alt='x'>",
        b"<img src=a.png ALT=x>",
        b"<img src=a.png\nalt = x>",
        b"<img src=a.png role=presentation>",
        b'<img src=a.png role="NONE">',
        b"<img src=a.png aria-hidden=true>",
        b'<img src=a.png aria-hidden="TRUE">',
        b"<img src=a.gif width=1 height='1'>",
        b"<!-- <img src=a.png> -->",
        b"<!-- <img src=a.png>",
        b"<script>document.write('<img src=a.png>')</script>",
        b"<SCRIPT><img src=a.png>",
        b"<script><!--<script></script><img src=a.png></script>",
        b"<script><!--<script>--<img src=a.png>",
        b"<style>/* <img src=a.png> */</STYLE>",
        b"<textarea><img src=a.png></textarea>",
        b"<title><img src=a.png></title>",
        b"<xmp><img src=a.png></xmp>",
        b"<plaintext><img src=a.png>",
        b"<![CDATA[<img src=a.png>]]>",
        b"<!DOCTYPE x <img src=a.png>",
        b"&lt;img src=a.png>",
        b"<image src=a.png>",
        b"<imgx src=a.png>",
        b"< img src=a.png>",
        b"<a title='<img src=a.png>'>",
        b"<img src=a.png",
        b"<img src='a.png>",
        b"",
        b"<",
        b"</",
        b"<!",
    ],
)
def test_left_alone(page: bytes) -> None:
    assert filled(page) == page


def test_captions_are_escaped() -> None:
    caption = "\"A\" <b> & 'c'\n é 日"
    assert filled(b"<img src=a>", caption) == (
        b'<img alt="&quot;A&quot; &lt;b&gt; &amp; &#x27;c&#x27; &#233; &#26085;" src=a>'
    )


def test_only_some_images_have_a_caption() -> None:
    page = read_page(b"<img src=a><img src=b><img src=a>")
    new, count = fill_alt(page, {"a": "A.", "b": None}.get)
    assert new == b'<img alt="A." src=a><img src=b><img alt="A." src=a>'
    assert count == 2


ENCODINGS = [
    "utf-8", "utf-8-sig", "latin-1", "cp1252", "cp1251", "koi8-r", "shift_jis", "euc-jp", "gbk",
    "gb18030", "big5", "euc-kr", "utf-16-le", "utf-16-be", "mac-roman",
]  # fmt: skip
WORDS = {
    "shift_jis": "表示ソ能", "euc-jp": "日本", "gbk": "中文", "gb18030": "中文𠀀", "big5": "功能許",
    "euc-kr": "한국", "cp1251": "Привет", "koi8-r": "Привет",
}  # fmt: skip


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_encoding_and_line_end(encoding: str, end: str) -> None:
    word = WORDS.get(encoding, "Größe")
    charset = encoding.removesuffix("-sig")
    text = end.join(
        [f"<!DOCTYPE html><meta charset={charset}>", f"<p title='{word}'>{word}",
         f'<img src="{word}.png" title="{word}">', f"{word}</p>", ""]
    )  # fmt: skip
    mark = {"utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}.get(encoding, b"")
    page = mark + text.encode(encoding)
    assert addresses(page) == [f"{word}.png"]
    expected = mark + text.replace("<img ", '<img alt="caf&#233;" ').encode(encoding)
    assert filled(page, "café") == expected


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (b"<meta charset=iso-2022-jp><img src=a>", "iso-2022-jp"),
        (b'<meta http-equiv=x content="text/html; charset=UTF-7"><img src=a>', "utf-7"),
        ("<img src=a>".encode("utf-16-le"), "byte order mark"),
        (codecs.BOM_UTF16_LE + b"<\0i", "UTF-16"),
    ],
)
def test_encodings_in_which_nothing_is_safe(page: bytes, reason: str) -> None:
    with pytest.raises(PageError, match=reason):
        read_page(page)


def test_addresses_are_read_as_a_browser_does() -> None:
    page = b'<img src=" a&amp;b.png\n"><img data-src=lazy.png><img><img src="" data-src=c>'
    assert addresses(page) == ["a&b.png", "lazy.png", "", "c"]
    assert addresses("<img src=ü.png>".encode()) == ["ü.png"]
    assert addresses("<meta charset=cp1252><img src=ü.png>".encode("cp1252")) == ["ü.png"]
    assert addresses(b"<meta charset=nonsense><img src=\xff.png>") == ["ÿ.png"]


def test_base() -> None:
    assert base_address(read_page(b"<base target=x><base href='/y/'><base href=z>")) == "/y/"
    assert base_address(read_page(b"<p>")) == ""


PIECES = st.sampled_from(
    ["<img", " ", "\n", "src=", "a.png", '"', "'", ">", "/", "<", "<!--", "-->", "--!>", "alt",
     "alt=", "=", "<script>", "</script>", "<p", "</p>", "text", "é", "<title>", "</title>", "!",
     "role=none", "<textarea>", "</textarea", "&amp;", "<?", "<svg>", "<br/>", "\t"]
)  # fmt: skip


class Browser(html.parser.HTMLParser):
    """Python's own parser, told to read as HTML 5 does where it can be told."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(reversed(attrs))))


@settings(max_examples=500)
@given(st.lists(PIECES, max_size=30).map("".join))
@example("<img src='a'>text<img src=b>")
def test_whatever_the_page_only_captions_are_put_in(text: str) -> None:
    page = text.encode()
    new, count = fill_alt(read_page(page), lambda _: "CAP")
    assert new.replace(b' alt="CAP"', b"") == page.replace(b' alt="CAP"', b"")
    assert new.count(b' alt="CAP"') - page.count(b' alt="CAP"') == count
    # Once filled there is nothing left to do.
    assert filled(new) == new


ATTRIBUTES = st.lists(
    st.tuples(
        st.sampled_from(["src", "alt", "title", "role", "data-x", "class", "aria-hidden"]),
        st.sampled_from(["", "a.png", "true", "none", "a b", "x&amp;y", "é", "a>b", "a/b"]),
        st.sampled_from(['"', "'"]),
    ),
    max_size=5,
    unique_by=lambda item: item[0],
)


@given(st.lists(st.tuples(st.sampled_from(["img", "p", "A", "IMG", "div"]), ATTRIBUTES)))
def test_well_formed_pages_are_read_as_pythons_parser_does(
    tags: list[tuple[str, list[tuple[str, str, str]]]],
) -> None:
    text = "\n".join(
        f"<{name}" + "".join(f" {key}={mark}{value}{mark}" for key, value, mark in items) + ">"
        for name, items in tags
    )
    browser = Browser()
    browser.feed(text)
    ours = [
        (tag.name, {key: html.unescape(value) for key, value in tag.attributes.items()})
        for tag in start_tags(text)
    ]
    assert ours == browser.tags


def test_hostile_pages_take_no_time() -> None:
    for page in (
        b"<" * 200_000, b"<img " + b" " * 200_000, b"<!--" * 50_000, b"<a b" * 50_000,
        b"<img " + b"a=" * 100_000, b"<script>" * 20_000, b"<![CDATA[" * 20_000,
    ):  # fmt: skip
        assert filled(page) == page
