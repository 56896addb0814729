"""How many CPU cores and how much memory this process may use."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def available_cores() -> int:
    """Return the number of cores we may keep busy: affinity mask and container quota respected."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    cores = cores or os.cpu_count() or 1
    return min(cores, quota(_CGROUP) or cores)


def quota(cgroup: Path) -> int | None:
    """Return the container's quota in whole cores, at least 1; None where there is none."""
    for names in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):  # version 2, 1
        with suppress(OSError, ValueError):
            quota, period = " ".join((cgroup / name).read_text() for name in names).split()
            if quota not in ("max", "-1"):
                return max(1, int(quota) // int(period))
    return None


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
