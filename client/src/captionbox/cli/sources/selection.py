"""Which of the images that were found are meant: lately changed ones, a sample."""

from __future__ import annotations

import hashlib
import heapq
import os
import re
import time
from collections.abc import Callable, Iterable
from datetime import datetime

from captionbox.cli.output.endings import UsageError
from captionbox.cli.sources.sources import identity
from captionbox.images import is_url

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def moment(text: str, now: Callable[[], float] = time.time) -> float:
    """Return the Unix time that `--since` names: a date, a time, or how long ago (`7d`, `12h`).

    Raises:
        UsageError: it names none.
    """
    ago = re.fullmatch(r"(\d{1,6})([smhdw])", text.strip())
    if ago:
        return now() - int(ago[1]) * _SECONDS[ago[2]]
    try:
        return datetime.fromisoformat(text.strip()).timestamp()
    except (ValueError, OverflowError, OSError) as error:
        raise UsageError(
            f"--since is a date or time like 2026-11-01 or 2026-11-01T18:30, or how long ago like "
            f"12h, 7d or 2w; not {text!r}"
        ) from error


def is_since(source: str, since: float | None) -> bool:
    """Whether an image was changed at that time or later.

    What has no time, on the web or missing, counts as new: it is for the reader to say what it is.
    """
    if since is None or is_url(source):
        return True
    try:
        return os.stat(source).st_mtime >= since  # noqa: PTH116
    except (OSError, ValueError):
        return True


def sample(sources: Iterable[str], size: int | None) -> list[str]:
    """Return so many of the images, drawn evenly, in their order; all where there are no more.

    The same images are drawn from the same folder each time, so that a run can be taken up again.
    """
    every = list(sources)
    if size is None or size >= len(every):
        return every

    def lot(numbered: tuple[int, str]) -> bytes:
        return hashlib.sha256(identity(numbered[1]).encode("utf-8", "surrogateescape")).digest()

    drawn = heapq.nsmallest(size, enumerate(every), key=lot)
    return [source for _, source in sorted(drawn)]
