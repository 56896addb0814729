"""Which files and folders are left out when folders are searched.

Systems keep thumbnails, versions and deleted files in folders of their own, next to the pictures of
people. They are not looked into, nor is what is hidden; whoever names such a folder means it.
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Sequence

SYSTEM_FOLDERS = frozenset(
    {
        "@eadir",  # Synology: thumbnails
        "@sharebin",
        "@recently-snapshot",
        "@recycle",  # QNAP: deleted files
        "#recycle",  # Synology: deleted files
        "#snapshot",
        "$recycle.bin",  # Windows: deleted files
        "recycler",
        "system volume information",
        "found.000",  # Windows: what chkdsk found
        "lost+found",  # Linux: what fsck found
        "__macosx",  # macOS: resource forks in archives
        "network trash folder",
        "temporary items",
    }
)
"""Names in small letters. The hidden ones (`.thumbnails`, `.Trash-1000`, `.AppleDouble`) need no
entry."""


def is_left_out(name: str) -> bool:
    """Whether a folder of that name is not searched: hidden, or of a system."""
    return name.startswith(".") or name.lower() in SYSTEM_FOLDERS


class Exclusions:
    """What a person wants left out.

    Args:
        patterns: of names (`*_small.jpg`, `drafts`), or of several in a row (`2024/*/raw`).
    """

    def __init__(self, patterns: Sequence[str] = ()) -> None:
        self._patterns = [os.path.normcase(pattern.rstrip("/")) for pattern in patterns]

    def cover(self, path: str) -> bool:
        """Whether a file, folder or URL, or a folder that it lies in, has such a name."""
        if not self._patterns:
            return False
        parts = [part for part in os.path.normcase(path).split("/") if part not in ("", ".")]
        return any(_lies_in(parts, pattern) for pattern in self._patterns)


def _lies_in(parts: Sequence[str], pattern: str) -> bool:
    length = pattern.count("/") + 1
    rows = ("/".join(parts[at : at + length]) for at in range(len(parts) - length + 1))
    return any(fnmatch.fnmatchcase(row, pattern) for row in rows)
