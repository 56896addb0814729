"""Fetch one large file over HTTP, going on where an earlier attempt stopped.

The bytes go to `TARGET.part`; beside it `TARGET.part.json` says which version of the file they are
of (its ETag or modification date), so that a file that has changed on the server is never joined
with the beginning of the old one.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import json
import logging
import random
import re
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tqdm.auto import tqdm

logger = logging.getLogger(__name__)

_BLOCK = 1 << 18
_LONGEST_WAIT = 60.0
_TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO})
"""Errors that are the disk's, not the connection's."""


class DownloadError(ValueError):
    """A file cannot be fetched or is not what it should be; the message says why."""


class _TryAgainError(Exception):
    """This attempt failed, another may not. `wait` is what the server asked for, in seconds."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


@dataclass(frozen=True)
class Patience:
    """When to give up.

    Attributes:
        attempts: failures in a row, without a byte gained between them.
        pause: seconds before the second attempt; doubles with every further one, up to a minute.
        timeout: seconds without a byte after which a connection counts as lost.
    """

    attempts: int = 8
    pause: float = 1.0
    timeout: float = 30.0


@dataclass(frozen=True)
class _Version:
    """The version of the file that a partial one belongs to."""

    url: str
    validator: str


def fetch(
    url: str,
    target: Path,
    size: int | None = None,
    patience: Patience | None = None,
) -> None:
    """Fetch `url` into `target`, resuming what an earlier call left.

    Args:
        url: http or https.
        target: appears when all of it is there; until then `target.part` grows.
        size: the file's known size in bytes; None trusts the server's word.
        patience: when to give up.

    Raises:
        DownloadError: `url` is none, the server refuses, offers another size, or fails too often;
            or the disk cannot take the file.
    """
    if not re.fullmatch(r"https?://[^/\s]+/\S*", url):
        raise DownloadError(f"{url}: not an http(s) address")
    patience = patience or Patience()
    part = target.with_name(target.name + ".part")
    failures, furthest = 0, _size(part)
    with tqdm(
        desc=target.name, total=size, unit="B", unit_scale=True, unit_divisor=1000, disable=None
    ) as bar:
        while True:
            try:
                _attempt(url, part, size, patience.timeout, bar)
                break
            except _TryAgainError as error:
                reached = _size(part)
                failures = 1 if reached > furthest else failures + 1
                furthest = max(furthest, reached)
                if failures >= patience.attempts:
                    raise DownloadError(
                        f"{url}: {error}; gave up after {failures} attempts without progress. "
                        "The same command goes on from here"
                    ) from error
                wait = max(error.wait, patience.pause * 2 ** (failures - 1))
                # Spread, so that many clients of one server do not come back all at once.
                wait = min(wait, _LONGEST_WAIT) * random.uniform(0.8, 1.2)
                logger.warning("%s: %s; trying again in %.1f s", target.name, error, wait)
                time.sleep(wait)
    part.replace(target)
    _version_file(part).unlink(missing_ok=True)


def verify(path: Path, size: int | None = None, md5: str | None = None) -> None:
    """Check a file that was fetched.

    Args:
        path: the file.
        size: expected bytes, if known.
        md5: expected MD5 in hexadecimal, if known. It guards against damage, not against malice.

    Raises:
        DownloadError: it is not the file that was expected.
    """
    found = path.stat().st_size
    if size is not None and found != size:
        raise DownloadError(f"{path}: {found} bytes, expected {size}")
    if md5 is None:
        return
    digest = hashlib.md5(usedforsecurity=False)
    with (
        path.open("rb") as file,
        tqdm(
            desc=f"checking {path.name}", total=found, unit="B", unit_scale=True, disable=None
        ) as bar,
    ):
        while block := file.read(1 << 20):
            digest.update(block)
            bar.update(len(block))
    if digest.hexdigest() != md5:
        raise DownloadError(f"{path}: MD5 {digest.hexdigest()}, expected {md5}: damaged")


def _attempt(
    url: str,
    part: Path,
    size: int | None,
    timeout: float,
    bar: Any,
) -> None:
    """Fetch what is missing of `part` in one request."""
    version = _read_version(part)
    have = _size(part) if version is not None and version.url == url else 0
    if size is not None and have == size:
        return
    headers = {"User-Agent": "captionbox", "Accept-Encoding": "identity"}
    if version is not None and have > 0:
        headers |= {"Range": f"bytes={have}-", "If-Range": version.validator}
    try:
        request = urllib.request.Request(url, headers=headers)
        with urllib.request.urlopen(request, timeout=timeout) as response:
            _receive(response, url, part, have, size, bar)
    except urllib.error.HTTPError as error:
        _refused(error, url, part, have)
    except http.client.InvalidURL as error:
        raise DownloadError(f"{url}: {error}") from error
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        if isinstance(error, OSError) and error.errno in _DISK:
            raise DownloadError(f"{part}: cannot be written: {error.strerror}") from error
        raise _TryAgainError(str(getattr(error, "reason", "")) or repr(error)) from error


def _receive(response: Any, url: str, part: Path, have: int, size: int | None, bar: Any) -> None:
    """Write a 200 (from the start) or 206 (from `have`) answer to `part`."""
    validator = _validator(response.headers)
    total = _length(response.headers.get("Content-Length"))
    if response.status == 206:
        start, total = _content_range(response.headers.get("Content-Range", ""))
        before = _read_version(part)
        # A server that knows no If-Range may go on with another file.
        if start != have or before is None or (validator and validator != before.validator):
            _discard(part)
            raise _TryAgainError("the file has changed on the server; starting again")
    else:
        have = 0
    if size is not None and total is not None and total != size:
        raise DownloadError(f"{url}: the server offers {total} bytes, expected {size}")
    bar.total, bar.n = total or size, have
    try:
        file = part.open("r+b" if have else "wb")
    except OSError as error:
        raise DownloadError(f"{part}: cannot be written: {error.strerror}") from error
    with file:
        if not have:
            _write_version(part, _Version(url, validator))
        file.seek(have)
        have += _copy(response, file, bar)
    if size is not None and have > size:
        _discard(part)
        raise DownloadError(f"{url}: the server sent more than the expected {size} bytes")
    expected = total if total is not None else size
    if expected is not None and have < expected:
        raise _TryAgainError(f"the connection ended after {have} of {expected} bytes")


def _copy(response: Any, file: IO[bytes], bar: Any) -> int:
    """Return how many bytes came before the answer ended."""
    copied = 0
    while block := response.read1(_BLOCK):
        file.write(block)
        copied += len(block)
        bar.update(len(block))
    return copied


def _refused(error: urllib.error.HTTPError, url: str, part: Path, have: int) -> None:
    """Raise what an error answer means; return if it means that the file is complete."""
    if error.code == 416:
        # Nothing after `have`: either all is there or the file has become shorter.
        told = re.fullmatch(r"bytes \*/(\d+)", error.headers.get("Content-Range", ""))
        if told and int(told[1]) == have:
            return
        _discard(part)
        raise _TryAgainError("the file has changed on the server; starting again") from error
    if error.code in _TRY_AGAIN:
        wait = _length(error.headers.get("Retry-After")) or 0
        raise _TryAgainError(f"HTTP {error.code} {error.reason}", wait) from error
    raise DownloadError(f"{url}: HTTP {error.code} {error.reason}") from error


def _validator(headers: Any) -> str:
    """Return what `If-Range` may carry: a strong ETag, else the date, else nothing."""
    etag = str(headers.get("ETag", ""))
    return etag if etag and not etag.startswith("W/") else str(headers.get("Last-Modified", ""))


def _content_range(text: str) -> tuple[int, int | None]:
    """Return first byte and total size (None for `*`) of a Content-Range; (-1, None) if broken."""
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", text.strip())
    return (int(found[1]), _length(found[2])) if found else (-1, None)


def _length(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() else None


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _version_file(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _read_version(part: Path) -> _Version | None:
    """Return the version of a partial file; None if it cannot be resumed."""
    try:
        content = json.loads(_version_file(part).read_text(encoding="utf-8"))
        version = _Version(str(content["url"]), str(content["validator"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    # Without a validator nobody can tell whether the rest is of the same file.
    return version if version.validator else None


def _write_version(part: Path, version: _Version) -> None:
    content = {"url": version.url, "validator": version.validator}
    try:
        _version_file(part).write_text(json.dumps(content), encoding="utf-8")
    except OSError as error:
        raise DownloadError(f"{part}: cannot be written: {error.strerror}") from error


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _version_file(part).unlink(missing_ok=True)
