"""API keys: how they are written down, and which name a presented one belongs to.

Only SHA-256 hashes are ever configured, so neither the environment nor a secrets file gives a key
away. A plain hash is enough because keys are 256 random bits, made by `python -m serving.keys new`:
there is nothing to guess, so nothing to slow down.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

logger = logging.getLogger(__name__)

KEY_PREFIX = "captionbox-"
"""Begins every key that is made here, so that secret scanners can find one that was published."""

_MAX_FILE_BYTES = 1024 * 1024
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HASH = re.compile(r"[0-9a-fA-F]{64}")


class KeyFormatError(ValueError):
    """Text that was to hold keys does not. The message never repeats the text: it may be a key."""


@dataclass(frozen=True)
class ApiKey:
    """One configured key.

    Attributes:
        name: whose it is; may be logged. Two keys may share a name, so that one can replace the
            other without a moment in which neither holds.
        digest: SHA-256 of the key, 32 bytes.
    """

    name: str
    digest: bytes = field(repr=False)


def make_entry(name: str, key: str) -> str:
    """Return `name:sha256hex`, the form in which a key is configured.

    Raises:
        KeyFormatError: the name is not allowed.
    """
    if not _NAME.fullmatch(name):
        raise KeyFormatError("a key's name is 1 to 64 of A-Z, a-z, 0-9, `.`, `_`, `-`")
    return f"{name}:{hashlib.sha256(key.encode()).hexdigest()}"


def parse_entries(text: str) -> tuple[ApiKey, ...]:
    """Read `name:sha256hex` entries, separated by commas or line ends; `#` begins a comment.

    Raises:
        KeyFormatError: an entry has another form, or a key occurs twice.
    """
    lines = (line.split("#")[0] for line in text.splitlines())
    entries = [part.strip() for line in lines for part in line.split(",") if part.strip()]
    keys: dict[bytes, ApiKey] = {}
    for number, entry in enumerate(entries, 1):
        name, _, digest = (part.strip() for part in entry.partition(":"))
        if not _NAME.fullmatch(name) or not _HASH.fullmatch(digest):
            raise KeyFormatError(
                f"entry {number} is not `name:sha256` with 64 hexadecimal digits (keys themselves "
                "do not belong here); `python -m serving.keys new NAME` makes a key and its entry"
            )
        key = ApiKey(name, bytes.fromhex(digest))
        if key.digest in keys:
            raise KeyFormatError(f"entry {number} has the same key as an entry before it")
        keys[key.digest] = key
    return tuple(keys.values())


def read_key_file(path: Path) -> tuple[ApiKey, ...]:
    """Read the entries of a file.

    Raises:
        KeyFormatError: it cannot be read, is malformed, or names no key at all.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_FILE_BYTES + 1)
        text = content.decode()
    except OSError as error:
        raise KeyFormatError(f"the file cannot be read: {error.strerror or 'error'}") from None
    except UnicodeDecodeError:
        raise KeyFormatError("the file is not text") from None
    if len(content) > _MAX_FILE_BYTES:
        raise KeyFormatError("the file is over 1 MiB")
    keys = parse_entries(text)
    if not keys:
        raise KeyFormatError("the file names no key")
    return keys


class KeyRing:
    """The keys that are accepted now.

    A key file is read again when it has changed. One that has gone or become malformed changes
    nothing but the log: a slip of the editor must neither lock everyone out nor let everyone in.

    Args:
        keys: accepted for good.
        file: names further keys.

    Raises:
        KeyFormatError: the file cannot be used.
    """

    def __init__(self, keys: Iterable[ApiKey], file: Path | None = None) -> None:
        self._fixed, self._file = tuple(keys), file
        self._seen = self._stamp()
        self._from_file = read_key_file(file) if file is not None else ()

    def __bool__(self) -> bool:
        """Whether requests need a key."""
        return bool(self._fixed) or self._file is not None

    def name_of(self, candidates: Iterable[bytes]) -> str | None:
        """Return the name of the first candidate that is an accepted key, or None.

        Every candidate is compared with every key, each time in constant time: how long it takes
        tells nothing of the keys.
        """
        self._refresh()
        keys = (*self._fixed, *self._from_file)
        found = None
        for candidate in candidates:
            digest = hashlib.sha256(candidate).digest()
            for key in keys:
                if hmac.compare_digest(digest, key.digest) and found is None:
                    found = key.name
        return found

    def _stamp(self) -> tuple[int, ...] | None:
        """Return what changes when the file does; it is behind a symbolic link in Kubernetes."""
        if self._file is None:
            return None
        try:
            found = self._file.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns

    def _refresh(self) -> None:
        stamp = self._stamp()
        if self._file is None or stamp == self._seen:
            return
        self._seen = stamp
        try:
            self._from_file = read_key_file(self._file)
        except KeyFormatError as error:
            logger.error("API keys stay as they were: %s", error)
        else:
            logger.info("API keys read anew: %d in the file", len(self._from_file))
