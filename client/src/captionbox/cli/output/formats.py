"""Output formats with one line a record, and how such a line is read back when a run is resumed.

Every line names its image in a way that survives the round trip, whatever is in its name.
"""

from __future__ import annotations

import csv
import html
import io
import json
import os
import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol
from urllib.parse import quote, unquote_to_bytes

from captionbox.errors import APIStatusError, CaptionboxError
from captionbox.images import is_url
from captionbox.results import CaptionResult


class Past(Enum):
    """What earlier runs made of an image."""

    NEW = auto()
    CAPTIONED = auto()
    FAILED = auto()


@dataclass(frozen=True, slots=True)
class Record:
    """One image with its captions, or with the reason why there are none."""

    source: str
    result: CaptionResult | None = None
    error: CaptionboxError | None = None
    prefix: str = ""
    suffix: str = ""

    @property
    def text(self) -> str:
        """The best caption between prefix and suffix; empty where there is none."""
        return f"{self.prefix}{self.result.text}{self.suffix}" if self.result else ""

    @property
    def caption(self) -> str:
        """The same on one line."""
        return one_line(self.text)

    @property
    def reason(self) -> str:
        """Why there is no caption, on one line; empty where there is one."""
        if self.error is None:
            return ""
        return one_line(str(self.error)) or type(self.error).__name__


@dataclass(frozen=True, slots=True)
class Entry:
    """What a line that was written before says: which image, and whether it failed."""

    source: str
    failed: bool
    empty: bool = False
    """Neither a caption nor a reason why there is none."""


class LineFormat(Protocol):
    """A format with one line a record."""

    header: str | None
    """First line of a file, where the format has one."""
    openings: tuple[str, ...]
    """What a line begins with, where that tells the format."""

    def line(self, record: Record) -> str:
        """Return a record as one line, without its end."""

    def read(self, line: str) -> Entry:
        """Return what a line says.

        Raises:
            ValueError: the line is not of this format.
        """


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def one_line(text: str) -> str:
    """Return `text` with every run of white space and control characters as one space."""
    return " ".join(_CONTROL.sub(" ", text).split())


class Text:
    """`image<TAB>caption`, or `image<TAB><TAB>error: reason`."""

    header: str | None = None
    openings: tuple[str, ...] = ()

    def line(self, record: Record) -> str:
        """Return a record as one line."""
        end = f"\terror: {record.reason}" if record.error else ""
        return f"{_guard(record.source)}\t{record.caption}{end}"

    def read(self, line: str) -> Entry:
        """Return what a line says."""
        source, *rest = line.split("\t")
        failed = len(rest) == 2 and not rest[0] and rest[1].startswith("error: ")
        if not (failed or len(rest) == 1) or any(map(_CONTROL.search, (source, *rest))):
            raise ValueError("a line is an image, a tab and a caption")
        return Entry(unguard(source), failed, empty=not "".join(rest).strip())


class Jsonl:
    """One JSON object a line, with everything the server said."""

    header: str | None = None
    openings: tuple[str, ...] = ('{"image": ', '{"source": ')

    def line(self, record: Record) -> str:
        """Return a record as one line."""
        content: dict[str, object] = {"image": record.source}
        if record.result is not None:
            content |= columns(record.text, record.result)
            content["result"] = record.result.model_dump(mode="json", exclude_none=True)
        else:
            content["error"] = _error(record)
        text = json.dumps(content, ensure_ascii=False)
        # A file name that is no valid text stays valid JSON as an escape only.
        return text if _is_text(text) else json.dumps(content)

    def read(self, line: str) -> Entry:
        """Return what a line says."""
        content = json.loads(line)
        # `source` is what older versions called it.
        source = isinstance(content, dict) and content.get("image", content.get("source"))
        if not isinstance(source, str):
            raise ValueError("a line is a JSON object with an image")
        failed = "error" in content
        empty = not failed and not str(content.get("caption") or "").strip()
        return Entry(source, failed, empty)


def columns(text: str, result: CaptionResult) -> dict[str, object]:
    """Return what is told of a captioned image, by the names that every table of ours has."""
    others = result.captions[1:]
    return {
        "caption": text,
        "confidence": result.confidence,
        "alternatives": [{"caption": it.text, "confidence": it.confidence} for it in others],
        "model": result.model.name,
        "version": result.model.version,
    }


_COLUMNS = "image,caption,confidence,alternatives,model,error"


class Csv:
    """Comma-separated values with a header; further captions share a column, ` | ` in between."""

    header: str | None = _COLUMNS
    openings: tuple[str, ...] = (_COLUMNS,)

    def line(self, record: Record) -> str:
        """Return a record as one line."""
        row = [_guard(record.source), record.caption, "", "", "", record.reason]
        if record.result is not None:
            further = record.result.captions[1:]
            row[2] = f"{record.result.confidence:.4f}"
            row[3] = " | ".join(one_line(caption.text) for caption in further)
            row[4] = record.result.model.name
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator="").writerow(row)
        return buffer.getvalue()

    def read(self, line: str) -> Entry:
        """Return what a line says."""
        row = next(csv.reader([line], strict=True), [])
        if len(row) != 6:
            raise ValueError(f"a line has the columns {_COLUMNS}")
        return Entry(unguard(row[0]), bool(row[5]), empty=not (row[1] + row[5]).strip())


class Markdown:
    """`![caption](image)`; what failed is an HTML comment."""

    header: str | None = None
    openings: tuple[str, ...] = ("![", "<!-- captionbox: ")
    _good = re.compile(r"!\[(?P<caption>.*)\]\((?P<image>[^()\s]+)\)")

    def line(self, record: Record) -> str:
        """Return a record as one line."""
        if record.error:
            return _comment(record)
        caption = re.sub(r"([\\\[\]*_`<&!])", r"\\\1", record.caption)
        return f"![{caption}]({_address(record.source)})"

    def read(self, line: str) -> Entry:
        """Return what a line says."""
        return _read_markup(self._good, line)


class HtmlAlt:
    """`<img src="image" alt="caption">`; what failed is an HTML comment."""

    header: str | None = None
    openings: tuple[str, ...] = ("<img src=", "<!-- captionbox: ")
    _good = re.compile(r'<img src="(?P<image>[^"]+)" alt="(?P<caption>[^"]*)">')

    def line(self, record: Record) -> str:
        """Return a record as one line."""
        if record.error:
            return _comment(record)
        source, caption = html.escape(_address(record.source)), html.escape(record.caption)
        return f'<img src="{source}" alt="{caption}">'

    def read(self, line: str) -> Entry:
        """Return what a line says."""
        return _read_markup(self._good, line)


LINE_FORMATS: dict[str, type[LineFormat]] = {
    "text": Text,
    "jsonl": Jsonl,
    "csv": Csv,
    "md": Markdown,
    "html-alt": HtmlAlt,
}


def _error(record: Record) -> dict[str, object]:
    """Return why a record has no caption, for programs."""
    if isinstance(record.error, APIStatusError):
        return record.error.problem.model_dump(mode="json", exclude_defaults=True)
    return {"title": type(record.error).__name__, "detail": record.reason}


def _guard(source: str) -> str:
    """Return a source as one column: as it is, or as a JSON string where that would break lines."""
    # As it will be read again: a name is bytes, which without UTF-8 are no letters here.
    source = source.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
    return json.dumps(source) if _CONTROL.search(source) or source.startswith('"') else source


def unguard(column: str) -> str:
    """Return the source that a column stands for.

    Raises:
        ValueError: it is quoted, and no JSON string.
    """
    if not column.startswith('"'):
        return column
    source = json.loads(column)
    if not isinstance(source, str):
        raise ValueError("a quoted image is a JSON string")
    return source


def _address(source: str) -> str:
    """Return a source as the URL reference by which a page in the current folder shows it."""
    return source if is_url(source) else quote(os.fsencode(source))


_BAD = re.compile(r"<!-- captionbox: (?P<image>\S+) failed: .* -->")


def _comment(record: Record) -> str:
    source = html.escape(_address(record.source)).replace("--", "&#45;&#45;")
    reason = html.escape(record.reason).replace("--", "- -")
    return f"<!-- captionbox: {source} failed: {reason} -->"


def _read_markup(good: re.Pattern[str], line: str) -> Entry:
    bad = _BAD.fullmatch(line)
    match = bad or good.fullmatch(line)
    if match is None:
        raise ValueError("a line is an image with its caption")
    image = match["image"]
    address = html.unescape(image) if bad or line.startswith("<") else image
    source = address if is_url(address) else os.fsdecode(unquote_to_bytes(address))
    empty = bad is None and not match["caption"].strip()
    return Entry(source, bad is not None, empty)


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
