"""Reads what a `data:` URL (RFC 2397) holds, as browsers do and a little more leniently.

Programs break base64 into lines (MIME, Java, coreutils), write it in the letters for URLs, or count
its padding wrongly. None of that leaves a doubt about the content.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterable, Iterator
from urllib.parse import unquote_to_bytes

from serving.base.problems import Problem

_AROUND = "".join(map(chr, range(0x21)))
"""What browsers strip from a URL's ends: control characters and blanks."""

_LINES = {ord(letter): None for letter in "\t\n\r"}
"""What they leave out of a URL wherever it stands."""

_PIECE = 256 * 1024
"""Characters that are read at a time."""

_BLANKS = b"\t\n\f\r "
_PLAIN_LETTERS = bytes.maketrans(b"-_", b"+/")


def is_data_url(text: str) -> bool:
    """Whether a URL is a `data:` URL."""
    return text[:5].lower() == "data:" or text.lstrip(_AROUND)[:5].lower() == "data:"


def read_data_url(url: str, limit: int) -> bytes:
    """Return what a `data:` URL holds; its media type is ignored.

    In pieces: a long one takes no more memory than what it holds, and whoever reads it in a thread
    lets others run in between.

    Args:
        url: one that `is_data_url` knows.
        limit: most bytes it may hold.

    Raises:
        Problem: 413 it holds more; 422 it is malformed.
    """
    comma = url.find(",")
    if comma < 0:
        raise Problem("url-refused", "A data URL has a comma before its data; this one has none.")
    head = url[:comma].lstrip(_AROUND)[5:]
    end = url.find("#", comma)
    end = len(url) if end < 0 else end
    if not _is_base64(head):
        content = unquote_to_bytes(url[comma + 1 : end].rstrip(_AROUND).translate(_LINES))
        if len(content) > limit:
            raise too_large(limit)
        return content
    decoded = bytearray()
    for piece in _from_base64(_pieces(url, comma + 1, end)):
        decoded += piece
        if len(decoded) > limit:
            raise too_large(limit)
    return bytes(decoded)


def too_large(limit: int) -> Problem:
    """Return the refusal of a picture of more than `limit` bytes."""
    return Problem(
        "too-large", f"The picture at the URL has more than {limit / (1024 * 1024):g} MiB."
    )


def _is_base64(head: str) -> bool:
    """Whether what stands before the comma ends in `;base64`; blanks may be around and within."""
    _, semicolon, last = head.translate(_LINES).rpartition(";")
    return bool(semicolon) and last.strip(_AROUND).lower() == "base64"


def _pieces(url: str, start: int, end: int) -> Iterator[bytes]:
    """Yield what `url` holds from `start` to `end`, escapes resolved, none of them cut in two."""
    while start < end:
        stop = min(start + _PIECE, end)
        if stop < end and (escape := url.find("%", stop - 2, stop)) >= 0:
            stop = escape
        yield unquote_to_bytes(url[start:stop])
        start = stop


def _from_base64(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield what pieces of base64 hold."""
    rest, padding = b"", False
    for piece in pieces:
        letters = piece.translate(_PLAIN_LETTERS, _BLANKS)
        if padding and letters.strip(b"="):
            raise _invalid_base64()
        letters = rest + letters
        bare = letters.rstrip(b"=")
        if b"=" in bare:
            raise _invalid_base64()
        padding = padding or len(bare) < len(letters)
        whole = len(bare) // 4 * 4
        rest = bare[whole:]
        yield _decoded(bare[:whole])
    yield _decoded(rest + b"=" * (-len(rest) % 4))


def _decoded(letters: bytes) -> bytes:
    try:
        return binascii.a2b_base64(letters, strict_mode=True)
    except binascii.Error:
        raise _invalid_base64() from None


def _invalid_base64() -> Problem:
    return Problem("url-refused", "The data URL's base64 is not valid.")
