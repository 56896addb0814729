"""Reads what a `data:` URL (RFC 2397) holds, as browsers do and a little more leniently.

Programs break base64 into lines (MIME, Java, coreutils), write it in the letters for URLs, or count
its padding wrongly. None of that leaves a doubt about the content.
"""

from __future__ import annotations

import binascii
from urllib.parse import unquote_to_bytes

from serving.base.problems import Problem

_AROUND = "".join(map(chr, range(0x21)))
"""What browsers strip from a URL's ends: control characters and blanks."""

_LINES = {ord(letter): None for letter in "\t\n\r"}
"""What they leave out of a URL wherever it stands."""

_BLANKS = b"\t\n\f\r "
_PLAIN_LETTERS = bytes.maketrans(b"-_", b"+/")


def is_data_url(text: str) -> bool:
    """Whether a URL is a `data:` URL."""
    return text[:5].lower() == "data:" or text.lstrip(_AROUND)[:5].lower() == "data:"


def read_data_url(url: str, limit: int) -> bytes:
    """Return what a `data:` URL holds; its media type is ignored.

    Args:
        url: one that `is_data_url` knows.
        limit: most bytes it may hold.

    Raises:
        Problem: 413 it holds more; 422 it is malformed.
    """
    head, comma, tail = url.lstrip(_AROUND)[5:].partition(",")
    if not comma:
        raise Problem("url-refused", "A data URL has a comma before its data; this one has none.")
    tail = tail.partition("#")[0]
    if _is_base64(head):
        content = _from_base64(unquote_to_bytes(tail), limit)
    else:
        content = unquote_to_bytes(tail.rstrip(_AROUND).translate(_LINES))
    if len(content) > limit:
        raise too_large(limit)
    return content


def too_large(limit: int) -> Problem:
    """Return the refusal of a picture of more than `limit` bytes."""
    return Problem(
        "too-large", f"The picture at the URL has more than {limit / (1024 * 1024):g} MiB."
    )


def _is_base64(head: str) -> bool:
    """Whether what stands before the comma ends in `;base64`; blanks may be around and within."""
    _, semicolon, last = head.translate(_LINES).rpartition(";")
    return bool(semicolon) and last.strip(_AROUND).lower() == "base64"


def _from_base64(text: bytes, limit: int) -> bytes:
    letters = text.translate(_PLAIN_LETTERS, _BLANKS).rstrip(b"=")
    if len(letters) * 3 // 4 > limit:
        raise too_large(limit)
    try:
        return binascii.a2b_base64(letters + b"=" * (-len(letters) % 4), strict_mode=True)
    except binascii.Error:
        raise Problem("url-refused", "The data URL's base64 is not valid.") from None
