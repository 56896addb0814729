"""How many CPU cores and how much memory this process may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")


def available_cores() -> int:
    """Return the number of cores we may keep busy: affinity mask and quotas respected."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    cores = cores or os.cpu_count() or 1
    return min(cores, quota(_CGROUP, _MEMBERSHIP) or cores)


def quota(root: Path, membership: Path) -> int | None:
    """Return the least quota of our control groups in whole cores, at least 1; None without one.

    Args:
        root: where control groups are mounted.
        membership: the file that names ours; in a container the root is ours.
    """
    found = []
    for group in _groups(root, membership, "cpu"):
        for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):  # version 2, 1
            with suppress(OSError, ValueError):
                share, period = " ".join((group / name).read_text() for name in names).split()
                if share not in ("max", "-1"):
                    found.append(max(1, int(share) // int(period)))
    return min(found, default=None)


def available_memory() -> int:
    """Return the bytes of memory of this machine, or of our control groups if they give fewer."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(machine, limit(_CGROUP, _MEMBERSHIP) or machine)


def limit(root: Path, membership: Path) -> int | None:
    """Return the least limit of our control groups in bytes; None where there is none.

    Args:
        root, membership: as for `quota`.
    """
    found = []
    for group in _groups(root, membership, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):  # version 2, version 1
            with suppress(OSError, ValueError):
                found.append(int((group / name).read_text()))
    return min(found, default=None)


def _groups(root: Path, membership: Path, controller: str) -> Iterator[Path]:
    """Yield the folders of the control groups that this process is in, and of those above them.

    A service of systemd sees the whole tree, a container its own part as the root.
    """
    try:
        lines = membership.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    for line in ["0::/", f"1:{controller}:/", *lines]:
        _number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and controller not in controllers.split(","):
            continue
        top = root / controller if controllers else root
        inside = Path(path.lstrip("/"))
        if ".." in inside.parts:
            continue  # of a namespace that we do not see
        for part in (inside, *inside.parents):
            yield top / part
