"""How much memory this process may use."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def available_memory() -> int:
    """Return the bytes of memory of this machine, or of this container if it is given fewer."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(machine, limit(_CGROUP) or machine)


def limit(cgroup: Path) -> int | None:
    """Return the container's limit in bytes; None where there is none."""
    for name in ("memory.max", "memory/memory.limit_in_bytes"):  # version 2, version 1
        with suppress(OSError, ValueError):
            return int((cgroup / name).read_text())
    return None
