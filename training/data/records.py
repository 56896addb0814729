"""Byte strings of one size on disk, each kept with what it was made from.

Two files in a folder: the records, one after another, and `index.u64`, two numbers a record: a
fingerprint of what it was made from and a checksum of its bytes. A record counts as there only if
both agree, so a kill or a power cut at any moment costs no more than the records in flight, and
several processes may fill one folder.

The files are written by position rather than through `mmap`: on a full disk that is an error that
can be reported, where a mapped page would kill the process.
"""

from __future__ import annotations

import json
import logging
import os
import struct
import zlib
from pathlib import Path
from typing import Any

from training.data.coco import DataError
from training.data.machine import shortage

logger = logging.getLogger(__name__)

_MARK = struct.Struct("<QQ")
_FILLED = 1 << 32
"""Added to a checksum, so that a mark of zeros is an empty one."""


class Records:
    """`count` byte strings of `size` bytes each. Safe to use from several processes.

    Args:
        folder: of the two files; made if need be.
        name: of the file with the records.
        count, size: how many, and how many bytes each.
        manifest: written beside them, for people.
        what: the records in the message of an error, such as "7 pictures".

    Raises:
        DataError: the folder cannot be written or the records do not fit on the disk.
    """

    def __init__(
        self, folder: Path, name: str, count: int, size: int, manifest: dict[str, Any], what: str
    ) -> None:
        self.folder = folder
        self._name, self._size = name, size
        self._files: tuple[int, int] | None = None
        self._refused = False
        self._allocate(count, manifest, what)

    def fingerprint(self, place: int) -> int:
        """Return what the record at a place was made from; 0 where there is none yet."""
        return self._mark(place)[0]

    def get(self, place: int, fingerprint: int) -> bytes | None:
        """Return a record; None if it is not there or was made from something else.

        Args:
            place: 0-based.
            fingerprint: of what it should be made from, 64 bits; 0 is never there.
        """
        made_from, checksum = self._mark(place)
        if made_from != fingerprint or not fingerprint:
            return None
        content = os.pread(self._open()[0], self._size, place * self._size)
        if len(content) != self._size or zlib.crc32(content) | _FILLED != checksum:
            return None
        return content

    def put(self, place: int, fingerprint: int, content: bytes) -> None:
        """Keep a record of `size` bytes; a disk that refuses is logged once, not raised."""
        if self._refused:
            return
        mark = _MARK.pack(fingerprint, zlib.crc32(content) | _FILLED)
        try:
            data, index = self._open()
            _write(data, content, place * self._size)
            _write(index, mark, place * _MARK.size)
        except OSError as error:
            self._refused = True
            logger.warning("%s: filled no further: %s", self.folder, error.strerror)

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process needs; it opens the files itself."""
        return {**self.__dict__, "_files": None}

    def __del__(self) -> None:
        for file in self.__dict__.get("_files") or ():
            os.close(file)

    def _mark(self, place: int) -> tuple[int, int]:
        content = os.pread(self._open()[1], _MARK.size, place * _MARK.size)
        if len(content) != _MARK.size:
            return 0, 0
        fingerprint, checksum = _MARK.unpack(content)
        return fingerprint, checksum

    def _open(self) -> tuple[int, int]:
        if self._files is None:
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
            data = os.open(self.folder / self._name, flags, 0o644)
            self._files = (data, os.open(self.folder / "index.u64", flags, 0o644))
        return self._files

    def _allocate(self, count: int, manifest: dict[str, Any], what: str) -> None:
        """Make both files at their full size; harmless if they are, or another process does too."""
        needed = count * self._size
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            data, index = self._open()
            missing = needed - os.fstat(data).st_blocks * 512
            if lacking := shortage(self.folder, missing):
                raise DataError(f"{self.folder}: {lacking} to cache {what}")
            if missing > 0:
                _reserve(data, needed)
            _reserve(index, count * _MARK.size)
            fresh = self.folder / f"manifest.{os.getpid()}.new"
            fresh.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
            fresh.replace(self.folder / "manifest.json")
        except OSError as error:
            raise DataError(f"{self.folder}: cannot be written: {error.strerror}") from error


def _reserve(file: int, size: int) -> None:
    """Give a file its size, and its blocks where the system can."""
    if os.fstat(file).st_size < size:
        os.ftruncate(file, size)
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)


def _write(file: int, content: bytes, offset: int) -> None:
    written = 0
    while written < len(content):
        written += os.pwrite(file, content[written:], offset + written)
