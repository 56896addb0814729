"""Whether something fits on a disk: asked before work begins, not when hours of it are lost."""

from __future__ import annotations

import shutil
from pathlib import Path


def shortage(folder: Path, needed: int) -> str:
    """Return what is wrong if fewer than `needed` bytes are free where `folder` lies, else nothing.

    Raises:
        OSError: there is no such folder.
    """
    free = shutil.disk_usage(folder).free
    return f"{_readable(free)} free, {_readable(needed)} needed" if needed > free else ""


def _readable(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
