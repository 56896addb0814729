"""What the attributes of an `<img>` say: whether it needs a text, and which picture a visitor sees.

Pages that load pictures late show something else first: a transparent dot, a blurred or grey box.
The picture's own address is then in an attribute that a script reads.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from captionbox.images import SUFFIXES

MOST_OF_A_SPACER = 3
"""Pixels of a side up to which a picture is there for the layout, or for counting visitors."""

_LATE = tuple(
    "data-src data-original data-lazy-src data-lazy data-lazyload data-lazy-original lazy-src "
    "lazysrc data-echo data-cfsrc data-ezsrc data-litespeed-src data-pagespeed-lazy-src "
    "nitro-lazy-src data-flickity-lazyload data-defer-src".split()
)
"""Where loaders of pictures find the address."""
_LATE_SETS = tuple(
    "data-srcset data-lazy-srcset data-original-set lazy-srcset data-ezsrcset nitro-lazy-srcset "
    "data-flickity-lazyload-srcset".split()
)
_PLACEHOLDER = re.compile(
    r"(?:^|[/_.-])(?:spacer|blank|pixel|transparent|trans|clear|empty|placeholder|loading|loader|"
    r"lazy|gr[ae]y|dot|px|1x1)[^/]*\.\w{3,4}(?:[?#]|$)",
    re.IGNORECASE,
)
_TEMPLATE = re.compile(r"\{\{|\{%|<%|<\?|\$\{|#\{")
_BOUND_ALT = re.compile(
    r"[\[({.:?]*(?:(?:v-bind|x-bind|bind|attr|prop|th|data-th|tal|t-att|t-attf|ng-attr|"
    r"data-ng-attr)[.:-])?alt[\])}]*(?:\.[\w.-]+)?"
)
_BINDINGS = ("data-bind", "data-i18n", "data-tal-attributes", "tal:attributes", "t-att", "th:attr")
_PIXELS = re.compile(r"\s*([\d.]+)(?:px)?\s*")


def needs_text(attributes: Mapping[str, str]) -> bool:
    """Whether an image has no alternative text, and is to have one; see `reason_without`."""
    return reason_without(attributes) is None


def reason_without(attributes: Mapping[str, str]) -> str | None:
    """Return why an image is to get no text, in words; None where it is to get one.

    Those that have one, and: decorative images (`alt=""`, `role="presentation"` or `"none"`,
    `aria-hidden`), those that a template or a script gives an `alt` (`:alt`, `[alt]`,
    `ng-attr-alt` …), those that `aria-label` or `aria-labelledby` name, and spacers and tracking
    pixels.

    Args:
        attributes: names in small letters.
    """
    if "alt" in attributes:
        return "it has a text" if attributes["alt"].strip() else 'decorative: alt=""'
    if any(_BOUND_ALT.fullmatch(name) for name in attributes):
        return "a script or template gives its text"
    if any(re.search(r"\balt\b", attributes.get(name, "")) for name in _BINDINGS):
        return "a script or template gives its text"
    if attributes.get("aria-hidden", "").strip().lower() == "true":
        return "decorative: aria-hidden"
    if any(attributes.get(name, "").strip() for name in ("aria-label", "aria-labelledby")):
        return "aria-label names it"
    if {"presentation", "none"} & set(attributes.get("role", "").lower().split()):
        return "decorative: role"
    sides = [_side(attributes, side) for side in ("width", "height")]
    small = all(side is not None and side <= 1 for side in sides)
    return "a spacer or tracking pixel" if small else None


def shown_picture(attributes: Mapping[str, str], sources: Sequence[Mapping[str, str]] = ()) -> str:
    """Return the address of the picture that a visitor sees in the end; empty where there is none.

    Args:
        attributes: of the `<img>`, names in small letters, values as people read them.
        sources: attributes of the `<source>`s before it in its `<picture>`.
    """
    late = [attributes.get(name, "") for name in _LATE]
    late += [first_of_set(attributes.get(name, "")) for name in _LATE_SETS]
    for address in late:
        if _is_late(address.strip()):
            return address.strip()
    shown = attributes.get("src", "").strip()
    if not _is_placeholder(shown):
        return shown
    others = [first_of_set(attributes.get("srcset", ""))]
    for source in sources:
        others += [first_of_set(source.get(name, "")) for name in (*_LATE_SETS, "srcset")]
    for address in others:
        if _is_address(address):
            return address
    named = (value.strip() for name, value in attributes.items() if name != "src")
    return next((value for value in named if _is_picture_file(value)), shown)


def first_of_set(text: str) -> str:
    """Return the first address of a `srcset`; empty where there is none."""
    text = text.lstrip(" \t\n\f\r,")
    # A comma ends an address only where white space follows: addresses may have commas.
    end = re.search(r"[ \t\n\f\r]|,(?=[ \t\n\f\r]|$)", text)
    return text[: end.start()].rstrip(",") if end else text.rstrip(",")


def is_template(address: str) -> bool:
    """Whether an address is still to be filled in by a template."""
    return _TEMPLATE.search(address) is not None


def is_spacer(start: bytes) -> bool:
    """Whether a picture is so small that nobody sees it.

    Args:
        start: its first 32 bytes or more. Known are GIF, PNG and lossless or extended WebP; of
            anything else the answer is no.
    """
    size: tuple[int, int] | None = None
    if start.startswith(b"GIF8") and len(start) >= 10:
        size = struct.unpack("<HH", start[6:10])
    elif start.startswith(b"\x89PNG\r\n\x1a\n") and len(start) >= 24:
        size = struct.unpack(">II", start[16:24])
    elif start[8:16] == b"WEBPVP8L" and len(start) >= 25:
        bits = int.from_bytes(start[21:25], "little")
        size = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif start[8:16] == b"WEBPVP8X" and len(start) >= 30:
        width, height = start[24:27], start[27:30]
        size = int.from_bytes(width, "little") + 1, int.from_bytes(height, "little") + 1
    return size is not None and max(size) <= MOST_OF_A_SPACER


def _side(attributes: Mapping[str, str], side: str) -> float | None:
    """Return the pixels of a side where attribute or style fix it."""
    styles = re.findall(rf"(?:^|;)\s*{side}\s*:\s*([^;!]*)", attributes.get("style", ""), re.I)
    match = _PIXELS.fullmatch(styles[-1] if styles else attributes.get(side, ""))
    try:
        return float(match[1]) if match else None
    except ValueError:
        return None


def _is_placeholder(address: str) -> bool:
    if not address or address[:5].lower() == "data:" or address.startswith(("#", "about:")):
        return True
    return _PLACEHOLDER.search(address) is not None


def _is_late(text: str) -> bool:
    """Whether a loader's attribute holds an address, and not a switch or a number."""
    if not text or is_template(text) or text[:5].lower() == "data:":
        return False
    return not re.fullmatch(r"true|false|lazy|[\d.]+", text, re.IGNORECASE)


def _is_address(text: str) -> bool:
    if not text or is_template(text) or _is_placeholder(text):
        return False
    return ("/" in text or "." in text) and not re.search(r"\s", text)


def _is_picture_file(text: str) -> bool:
    if not _is_address(text):
        return False
    try:
        return PurePosixPath(urlsplit(text).path).suffix.lower() in SUFFIXES
    except ValueError:
        return False
