"""Finds `<img>` tags without `alt` in a page and puts captions in, changing not one other byte.

The page is read as bytes, one character each, with the tokenising rules of the HTML standard as far
as they tell where tags begin and end. What is put in is ASCII, other characters as references, so
it is right in every encoding that has ASCII in it, which are all that pages are written in but
UTF-16 (recognised by its byte order mark) and a few that are refused.
"""

from __future__ import annotations

import codecs
import html
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from captionbox.cli.sources.img_tags import needs_text, reason_without, shown_picture


class PageError(Exception):
    """The page is left alone; the message says why."""


@dataclass(frozen=True, slots=True)
class Tag:
    """A start tag: its name in small letters, its attributes, and where its name ends."""

    name: str
    attributes: dict[str, str]
    name_end: int


@dataclass(frozen=True, slots=True)
class Page:
    """A page, decoded so that it can be encoded again to the same bytes."""

    text: str
    codec: str
    mark: bytes = b""

    def encode(self, text: str) -> bytes:
        """Return `text` as bytes of the page's kind."""
        return self.mark + text.encode(self.codec, "surrogatepass")

    def value(self, raw: str) -> str:
        """Return an attribute's value as people read it."""
        if self.codec == "latin-1":
            data = raw.encode("latin-1")
            for codec in ("utf-8", declared_encoding(self.text)):
                try:
                    return html.unescape(data.decode(codec))
                except (UnicodeDecodeError, LookupError):
                    continue
        return html.unescape(raw)


def read_page(data: bytes) -> Page:
    """Decode a page.

    Raises:
        PageError: it is in an encoding in which tags cannot be found safely.
    """
    for mark, codec in ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")):
        if data.startswith(mark):
            try:
                page = Page(data[2:].decode(codec, "surrogatepass"), codec, mark)
            except UnicodeDecodeError as error:
                raise PageError("it is not the UTF-16 that it claims to be") from error
            if page.encode(page.text) != data:
                raise PageError("its UTF-16 is damaged")
            return page
    if b"\0" in data[:4096]:
        raise PageError("it looks like UTF-16 or UTF-32 without a byte order mark")
    page = Page(data.decode("latin-1"), "latin-1")
    if declared_encoding(page.text).startswith(("iso-2022", "utf-7", "hz")):
        raise PageError(f"pages in {declared_encoding(page.text)} are not supported")
    return page


def missing_alt(page: Page) -> Iterator[tuple[int, str]]:
    """Yield where an `alt` may be put in, and the address of the picture that a visitor sees.

    Images that have one, or are to have none, are left out; see `reason_without`.
    """
    sources: list[dict[str, str]] = []
    for tag in start_tags(page.text):
        if tag.name == "picture":
            sources = []
        elif tag.name == "source":
            sources.append(_values(page, tag))
        elif tag.name == "img":
            values = _values(page, tag)
            if needs_text(values):
                yield tag.name_end, shown_picture(values, sources)
            sources = []


def left_out(page: Page) -> Iterator[tuple[str, str]]:
    """Yield the images that have no text and are to have none: their address, and why."""
    for tag in start_tags(page.text):
        if tag.name == "img":
            values = _values(page, tag)
            reason = reason_without(values)
            if reason is not None and not values.get("alt", "").strip():
                yield shown_picture(values), reason


def language(page: Page) -> str:
    """Return what `<html lang>` says, in small letters; empty where it says nothing."""
    for tag in start_tags(page.text):
        if tag.name == "html":
            return page.value(tag.attributes.get("lang", "")).strip().lower()
        if tag.name in ("body", "img"):
            break
    return ""


def _values(page: Page, tag: Tag) -> dict[str, str]:
    return {name: page.value(raw) for name, raw in tag.attributes.items()}


def base_address(page: Page) -> str:
    """Return what `<base href>` says; empty where there is none."""
    for tag in start_tags(page.text):
        if tag.name == "base" and "href" in tag.attributes:
            return page.value(tag.attributes["href"]).strip()
    return ""


def fill_alt(
    page: Page, caption_of: Callable[[str], str | None], lang: str = ""
) -> tuple[bytes, int]:
    """Put captions in.

    Args:
        page: as it is.
        caption_of: gives the caption for a picture's address, or None to leave it as it is.
        lang: the captions' language, where the page is in another one: an attribute says so.

    Returns:
        The new page, and how many captions were put in.
    """
    pieces: list[str] = []
    last = 0
    told = {tag.name_end for tag in start_tags(page.text) if "lang" in tag.attributes}
    for place, source in missing_alt(page):
        caption = caption_of(source)
        if caption:
            text = html.escape(" ".join(caption.split()))
            alt = text.encode("ascii", "xmlcharrefreplace").decode()
            said = f' lang="{lang}"' if lang and place not in told else ""
            pieces += [page.text[last:place], f'{said} alt="{alt}"']
            last = place
    return page.encode("".join([*pieces, page.text[last:]])), len(pieces) // 2


def declared_encoding(text: str) -> str:
    """Return the encoding that a page claims to have, in small letters; UTF-8 if it is silent."""
    match = _CHARSET.search(text, 0, 4096)
    return match[1].lower() if match else "utf-8"


_CHARSET = re.compile(
    r"(?:<meta[^>]*?charset|<\?xml[^>]*?encoding)\s*=\s*[\"']?\s*([\w.:-]+)", re.IGNORECASE
)
_TAG_NAME = re.compile(r"</?([A-Za-z][^ \t\n\f\r/>]*)")
_ATTRIBUTE = re.compile(
    r"[ \t\n\f\r/]*"
    r"(?P<name>[^ \t\n\f\r/>][^ \t\n\f\r/>=]*)"
    r"(?:[ \t\n\f\r]*=[ \t\n\f\r]*"
    r"(?P<value>\"[^\"]*\"?|'[^']*'?|[^ \t\n\f\r>\"'][^ \t\n\f\r>]*|(?=>)))?"
)
_TAG_END = re.compile(r"[ \t\n\f\r/]*>")
_COMMENT_END = re.compile(r"--!?>")
_TEXT_ONLY = frozenset(
    {"script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes"}
)


def start_tags(text: str) -> Iterator[Tag]:
    """Yield every start tag of a page that is one: none in comments, scripts and the like."""
    place = text.find("<")
    while place >= 0:
        match = _TAG_NAME.match(text, place)
        if match is None:
            place = text.find("<", _after_declaration(text, place))
            continue
        tag, end = _read_tag(text, match)
        if end < 0:
            return
        if text[place + 1] != "/":
            yield tag
            if tag.name == "plaintext":
                return
            if tag.name in _TEXT_ONLY:
                end = _text_end(text, end, tag.name)
        place = text.find("<", end)


def _after_declaration(text: str, place: int) -> int:
    """Return where to go on after a `<` that begins no tag: comment, declaration, plain text."""
    if text.startswith(("<!-->", "<!--->"), place):
        return text.index(">", place)
    if text.startswith("<!--", place):
        match = _COMMENT_END.search(text, place + 4)
        return match.end() if match else len(text)
    if text.startswith("<![CDATA[", place) and (end := text.find("]]>", place)) >= 0:
        return end
    if text.startswith(("<!", "<?", "</"), place):
        end = text.find(">", place)
        return end if end >= 0 else len(text)
    return place + 1


def _read_tag(text: str, match: re.Match[str]) -> tuple[Tag, int]:
    """Return a tag and where it ends; -1 where the page ends first."""
    attributes: dict[str, str] = {}
    place = match.end()
    while True:
        end = _TAG_END.match(text, place)
        if end is not None:
            return Tag(match[1].lower(), attributes, match.end()), end.end()
        attribute = _ATTRIBUTE.match(text, place)
        if attribute is None:
            return Tag(match[1].lower(), attributes, match.end()), -1
        value = attribute["value"] or ""
        if value[:1] in ("'", '"'):
            value = value[1:-1]
        attributes.setdefault(attribute["name"].lower(), value)
        place = attribute.end()


_SCRIPT_MARK = re.compile(
    r"(<!---*>)|(<!--)|(-->)|(<script[ \t\n\f\r/>])|</script[ \t\n\f\r/>]", re.I
)


def _script_end(text: str, place: int) -> int:
    """Return where a script ends. In `<!--`, a `<script>` in it has to end before it does."""
    hidden = inner = False
    for mark in _SCRIPT_MARK.finditer(text, place):
        empty, begin, end, script = mark.groups()
        if begin:
            hidden = True
        elif end:
            hidden = inner = False
        elif script:
            inner = hidden
        elif not empty:
            if not inner:
                return mark.start()
            inner = False
    return len(text)


def _text_end(text: str, place: int, name: str) -> int:
    if name == "script":
        return _script_end(text, place)
    match = re.compile(rf"</{name}[ \t\n\f\r/>]", re.IGNORECASE).search(text, place)
    return match.start() if match else len(text)
