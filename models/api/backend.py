"""Which library runs a model's network: torch, or OpenVINO where it is installed.

No torch and no OpenVINO at import: the gateway reads the setting's values from here.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal

Backend = Literal["torch", "openvino"]
"""`"torch"` is the reference; `"openvino"` runs graphs that `runtimes.openvino.export` has made."""

BackendSetting = Literal["torch", "openvino", "auto"]

INSTALL = "pip install -r requirements-openvino.lock"


class BackendError(ValueError):
    """A model cannot run on the backend asked for. The message is one sentence for people."""


def has_openvino() -> bool:
    """Whether OpenVINO is installed."""
    return find_spec("openvino") is not None


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
        raise BackendError(f"{error.name} is not installed: {INSTALL}") from error
