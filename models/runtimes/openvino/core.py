"""OpenVINO itself: its one core in this process, and what a core does to its thread's signals.

A core's processor plugin gives the thread that loads it another stack for signal handlers, and
unmaps this stack when the core goes. Of two cores, the one that goes last puts back the stack of
the one that is gone (OpenVINO 2026.4), and the next signal that Python handles (Ctrl-C, SIGTERM, a
child's end) kills the process. So ours never goes, and NNCF's, of which there are several, are
made and dropped within `signal_stack_kept`.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import Any

from models.api.device import BackendError


class _Stack(ctypes.Structure):
    """`stack_t` of `sigaltstack(2)` on Linux."""

    _fields_ = (
        ("start", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("size", ctypes.c_size_t),
    )


_DISABLED = 2
"""`SS_DISABLE`."""


def import_openvino(module: str = "openvino") -> Any:
    """Import OpenVINO, or a package that works on its graphs, without telemetry.

    Raises:
        BackendError: it is not installed.
    """
    # They report every use to their maker unless this package is missing.
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        lock = "requirements.lock" if error.name == "openvino" else "requirements-openvino.lock"
        raise BackendError(f"{error.name} is not installed: pip install -r {lock}") from error


@cache
def shared_core() -> Any:
    """Return this process's core, the same always.

    Raises:
        BackendError: OpenVINO is not installed.
    """
    return import_openvino().Core()


@cache
def computes_bf16() -> bool:
    """Whether OpenVINO computes in bfloat16 here; elsewhere it would take float32 unasked.

    Raises:
        BackendError: OpenVINO is not installed.
    """
    return "BF16" in shared_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def threads() -> int:
    """Return how many threads to compute with: as torch's OpenMP would, from the environment."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return int(asked) if asked.isdigit() and int(asked) else len(os.sched_getaffinity(0))


@contextmanager
def signal_stack_kept() -> Iterator[None]:
    """On leaving, give this thread the stack for signal handlers that it had on entering.

    Linux only; elsewhere OpenVINO leaves that stack alone.
    """
    if sys.platform != "linux":
        yield
        return
    library, before = ctypes.CDLL(None, use_errno=True), _Stack()
    library.sigaltstack(None, ctypes.byref(before))
    try:
        yield
    finally:
        if library.sigaltstack(ctypes.byref(before), None) != 0:
            # Too small for what the processor has to save by now: the ordinary stack will do.
            library.sigaltstack(ctypes.byref(_Stack(flags=_DISABLED)), None)
