"""Runs a command with little memory, as a small machine or a container has it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

_GROUPS = (
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
    (Path("/sys/fs/cgroup"), "memory.max"),
)


@contextmanager
def limited_to(size: int) -> Iterator[list[str]]:
    """Yield what is put before a command so that it and its children get `size` bytes of memory.

    Skips the test where neither a control group nor systemd can limit memory.
    """
    for parent, limit in _GROUPS:
        group = parent / f"captionbox-test-{os.getpid()}"
        try:
            group.mkdir()
            (group / limit).write_text(str(size))
        except OSError:
            with suppress(OSError):
                group.rmdir()
            continue
        try:
            yield ["sh", "-c", f'echo $$ >{group}/cgroup.procs && exec "$@"', "sh"]
        finally:
            with suppress(OSError):
                group.rmdir()
        return
    command = ["systemd-run", "--quiet", "--scope", "-p", f"MemoryMax={size}"]
    command += ["-p", "MemorySwapMax=0"]
    with suppress(OSError):
        if subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0:
            yield command
            return
    pytest.skip("neither a control group nor systemd can limit memory here")
