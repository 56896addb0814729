"""Lists of images as every system writes them."""

from __future__ import annotations

import codecs
import os
from pathlib import Path

import pytest
from captionbox.cli.sources.lists import Lines, ListError
from captionbox.cli.sources.sources import system_name
from hypothesis import given
from hypothesis import strategies as st

from tests.client.captions import line, lines
from tests.client.conftest import Captionbox
from tests.client.stand_in import picture

# What a line can hold: no line end, and more than blanks.
_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0\n\r\ufeff"), min_size=1)
LINES = st.lists(_TEXT.filter(lambda text: text.strip() and not text.endswith("\r")), max_size=8)
CUTS = st.lists(st.integers(1, 7), min_size=1, max_size=20)


def read(data: bytes, cuts: list[int], null: bool = False) -> list[str]:
    """Read a list that arrives in pieces of such lengths, again and again."""
    lines, found, at, turn = Lines(null), [], 0, 0
    while at < len(data):
        step = cuts[turn % len(cuts)]
        found += lines.feed(data[at : at + step])
        at, turn = at + step, turn + 1
    return [*found, *lines.end()]


@given(
    names=LINES,
    cuts=CUTS,
    end=st.sampled_from(["\n", "\r\n"]),
    last=st.booleans(),
    coding=st.sampled_from(
        ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"]
    ),
)
def test_every_encoding_and_line_end(
    names: list[str], cuts: list[int], end: str, last: bool, coding: str
) -> None:
    text = end.join(names) + (end if last else "")
    mark = {
        "utf-16-le": codecs.BOM_UTF16_LE,
        "utf-16-be": codecs.BOM_UTF16_BE,
        "utf-32-be": codecs.BOM_UTF32_BE,
    }.get(coding, b"")
    assert read(mark + text.encode(coding), cuts) == [system_name(name) for name in names]


# Of one letter each, a list looks like UTF-16; `-0` says what it is.
NAMES = st.lists(
    st.binary(min_size=1).filter(lambda name: b"\0" not in name and os.fsdecode(name).strip())
)


@given(names=NAMES, cuts=CUTS, last=st.booleans())
def test_with_null_bytes_every_name_can_be_told(
    names: list[bytes], cuts: list[int], last: bool
) -> None:
    if names and names[0][:1] in (b"\xef", b"\xff", b"\xfe", b"\0"):
        names[0] = b"./" + names[0]
    data = b"\0".join(names) + (b"\0" if last and names else b"")
    assert read(data, cuts, null=True) == [os.fsdecode(name) for name in names]


@given(names=st.lists(_TEXT.filter(lambda t: t.strip() and len(t) > 2), min_size=1), cuts=CUTS)
def test_null_bytes_are_noticed(names: list[str], cuts: list[int]) -> None:
    data = b"".join(name.encode() + b"\0" for name in names)
    assert read(data, cuts) == [system_name(name) for name in names]


@given(data=st.binary(max_size=60), cuts=CUTS, null=st.booleans())
def test_nothing_is_too_odd(data: bytes, cuts: list[int], null: bool) -> None:
    try:
        found = read(data, cuts, null)
    except ListError:
        return
    assert all(name.strip() and "\0" not in name for name in found)


@pytest.mark.parametrize(
    "data",
    [
        "photos/a.jpg\r\n".encode("utf-16-le"),
        "photos/a.jpg\r\n".encode("utf-16-be"),
        codecs.BOM_UTF16_LE + b"a\0\0\xd8b\0",
    ],
)
def test_what_cannot_be_read_is_named(data: bytes) -> None:
    with pytest.raises(ListError, match=r"UTF-16|encoding"):
        read(data, [64])


def test_byte_order_marks(process: Captionbox, photos: Path) -> None:
    for coding in ("utf-8-sig", "utf-16"):
        done = process("caption", "-", stdin="photos/0.jpg\r\nphotos/1.jpg\r\n".encode(coding))
        assert lines(done.stdout) == [line(0), line(1)]
    done = process("caption", "-", stdin="photos/0.jpg\n".encode("utf-16-le"), code=2)
    assert done.stderr == (
        b"captionbox: the list looks like UTF-16 without a byte order mark: save it as UTF-8\n"
    )


def test_names_with_line_ends(process: Captionbox, photos: Path) -> None:
    (photos / "a\nb [1]::c .jpg").write_bytes(picture("0"))
    data = b"photos/1.jpg\0photos/a\nb [1]::c .jpg\0"
    for arguments in (["-"], ["-", "--null"], ["-", "-0"]):
        done = process("caption", *arguments, "-f", "md", stdin=data)
        assert b"photos/a%0Ab%20%5B1%5D%3A%3Ac%20.jpg" in done.stdout
        assert done.stdout.count(b"\n") == 2


def test_a_line_is_a_name_and_no_pattern(process: Captionbox, photos: Path) -> None:
    (photos / "a1.jpg").write_bytes(picture("1"))
    done = process("caption", "-", stdin=b"photos/a[1].jpg\nphotos/*.jpg\n photos/2.jpg\n", code=1)
    assert all("error: cannot read" in one for one in lines(done.stdout))
    # White space around an address belongs to nobody.
    done = process("caption", "-", stdin=b" http://host/a.jpg \nphotos\n")
    assert lines(done.stdout)[0].startswith("http://host/a.jpg\t")
    assert len(lines(done.stdout)) == 8


def test_an_empty_list(process: Captionbox) -> None:
    for stdin in (b"", b"\n\r\n", b"\xef\xbb\xbf"):
        done = process("caption", "-", stdin=stdin)
        assert done.stderr == b"captionbox: no images on standard input\n"
