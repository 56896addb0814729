"""What a run finds on its machine: the other processes of `torchrun`, cores, the disk.

Of several processes the first one speaks and writes. Whether something fits on the disk is asked
before work begins, not when hours of it are lost.
"""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path
from typing import Any


def is_main() -> bool:
    """Return whether this is the first process, or the only one."""
    return os.environ.get("RANK", "0") == "0"


def process_count() -> int:
    """Return how many processes train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def processes_here() -> int:
    """Return how many of them train on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return cores or 1


def start_logging() -> None:
    """Log to the terminal; every process but the first only its errors."""
    logging.basicConfig(
        level=logging.INFO if is_main() else logging.ERROR,
        format="%(asctime)s %(message)s",
        datefmt="%H:%M:%S",
    )


def of_main(value: Any) -> Any:
    """Return the first process's `value` in every process; the others wait for it."""
    from torch import distributed

    if _are_connected():
        holder = [value]
        distributed.broadcast_object_list(holder)
        return holder[0]
    return value


def leave() -> None:
    """Wait for the other processes and end the communication between them.

    A process that exits with its group's threads still running may be aborted by the C++ runtime,
    after all its work is done.
    """
    from torch import distributed

    if _are_connected():
        distributed.barrier()
        distributed.destroy_process_group()


def shortage(folder: Path, needed: int) -> str:
    """Return what is wrong if fewer than `needed` bytes are free where `folder` lies, else nothing.

    Raises:
        OSError: there is no such folder.
    """
    free = shutil.disk_usage(folder).free
    return f"{_readable(free)} free, {_readable(needed)} needed" if needed > free else ""


def _are_connected() -> bool:
    # Imported here: fetching data needs no torch, which takes seconds to import.
    from torch import distributed

    return distributed.is_available() and distributed.is_initialized()


def _readable(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
