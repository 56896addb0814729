"""Several training processes, as `torchrun` starts them: which of them speaks and writes."""

from __future__ import annotations

import logging
import os
from typing import Any

import torch.distributed


def is_main() -> bool:
    """Return whether this is the first process, or the only one."""
    return os.environ.get("RANK", "0") == "0"


def process_count() -> int:
    """Return how many processes train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def start_logging() -> None:
    """Log to the terminal; every process but the first only its errors."""
    logging.basicConfig(
        level=logging.INFO if is_main() else logging.ERROR,
        format="%(asctime)s %(message)s",
        datefmt="%H:%M:%S",
    )


def of_main(value: Any) -> Any:
    """Return the first process's `value` in every process; the others wait for it."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        holder = [value]
        torch.distributed.broadcast_object_list(holder)
        return holder[0]
    return value


def leave() -> None:
    """Wait for the other processes and end the communication between them.

    A process that exits with its group's threads still running may be aborted by the C++ runtime,
    after all its work is done.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
