"""Finds images without a text in Markdown and MDX, and puts captions in, changing nothing else.

`![](dog.jpg)` and `![][ref]`, and `<img>` tags in between. Front matter, code, comments and what
MDX has of JavaScript are not looked into. A text with an expression for its image (`<img
src={dog}>`) is left alone: only whoever builds the site knows what it shows.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from captionbox.cli.sources.html_images import Page, PageError, missing_alt

MARKDOWN_SUFFIXES = frozenset({".md", ".markdown", ".mdx"})

_FRONT_MATTER = re.compile(
    r"\ufeff?(---|\+\+\+)[ \t]*\r?\n.*?^\1[ \t]*\r?$", re.DOTALL | re.MULTILINE
)
_NOT_TEXT = re.compile(
    r"""
    ^[ ]{0,3}(?P<fence>`{3,}|~{3,})[^\n]*\n
        (?: .*?^[ ]{0,3}(?P=fence)[`~]*[ \t]*\r?$ | .*\Z )
    | (?P<ticks>`+)(?!`).+?(?<!`)(?P=ticks)(?!`)
    | <!--.*?-->
    | \{/\*.*?\*/\}
    | ^(?:[ ]{4}|\t)[^\n]*$
    | ^(?:import|export)\b[^\n]*$
    """,
    re.DOTALL | re.MULTILINE | re.VERBOSE,
)
_INLINE = re.compile(
    r"""
    (?<!\\)!\[(?P<gap>[ ]*)\]\(\s*
    (?: <(?P<angled>[^<>\n]*)> | (?P<plain>[^\s()<>]+(?:\([^\s()]*\)[^\s()<>]*)*) )
    (?: \s+(?: "[^"]*" | '[^']*' | \([^()]*\) ) )?
    \s*\)
    """,
    re.VERBOSE,
)
_REFERENCE = re.compile(r"(?<!\\)!\[(?P<gap>[ ]*)\]\[(?P<label>[^\[\]]+)\]")
_DEFINITION = re.compile(
    r"^[ ]{0,3}\[(?P<label>[^\[\]]+)\]:\s*<?(?P<address>[^\s<>]+)>?", re.MULTILINE
)
_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")


@dataclass(frozen=True, slots=True)
class _Gap:
    """Where a text is missing: between two places, for the image at that address."""

    start: int
    end: int
    address: str


def read_markdown(data: bytes) -> Page:
    """Decode a Markdown file.

    Raises:
        PageError: it is not UTF-8.
    """
    try:
        return Page(data.decode("utf-8"), "utf-8")
    except UnicodeDecodeError as error:
        raise PageError("it is not UTF-8") from error


def missing_texts(page: Page) -> Iterator[str]:
    """Yield the addresses of images without a text."""
    yield from (gap.address for gap in _gaps(page.text))
    yield from (address for _, address in missing_alt(_tags_only(page)))


def fill_texts(page: Page, caption_of: Callable[[str], str | None]) -> tuple[bytes, int]:
    """Put captions in; as `html_images.fill_alt`."""
    pieces, last, count = [], 0, 0
    tags = _tags_only(page)
    places = [(gap.start, gap.end, gap.address, _markdown) for gap in _gaps(page.text)]
    places += [(place, place, address, _attribute) for place, address in missing_alt(tags)]
    for start, end, address, written in sorted(places, key=lambda place: place[0]):
        caption = caption_of(address)
        if caption:
            pieces += [page.text[last:start], written(" ".join(caption.split()))]
            last, count = end, count + 1
    return page.encode("".join([*pieces, page.text[last:]])), count


def _gaps(text: str) -> list[_Gap]:
    shown = _blanked(text)
    addresses = {
        match["label"].casefold(): match["address"] for match in _DEFINITION.finditer(shown)
    }
    found = []
    for match in _INLINE.finditer(shown):
        address = match["plain"] if match["angled"] is None else match["angled"]
        found.append(_Gap(*match.span("gap"), _read(address)))
    for match in _REFERENCE.finditer(shown):
        address = addresses.get(match["label"].casefold(), "")
        found.append(_Gap(*match.span("gap"), _read(address)))
    return found


def _tags_only(page: Page) -> Page:
    """Return the page with nothing but its tags left, at the same places."""
    return Page(_blanked(page.text), page.codec)


def _blanked(text: str) -> str:
    """Return `text` with nulls for all that is no text, so that places stay."""
    front = _FRONT_MATTER.match(text)
    begin = front.end() if front else 0
    return _nulls(text[:begin]) + _NOT_TEXT.sub(lambda match: _nulls(match[0]), text[begin:])


def _nulls(text: str) -> str:
    # No blanks: `![`code`](a.jpg)` has a text.
    return re.sub(r"[^\n]", "\0", text)


def _read(address: str) -> str:
    return html.unescape(_ESCAPED.sub(r"\1", address))


def _markdown(caption: str) -> str:
    return re.sub(r"([\\\[\]*_`<{&])", r"\\\1", caption)


def _attribute(caption: str) -> str:
    return f' alt="{html.escape(caption)}"'
