"""Which number formats a backend computes in on this machine, and the refusal of any other.

No torch and no OpenVINO at import: the registry, which the gateway reads, imports this.
"""

from __future__ import annotations

from models.api.device import Backend, Precision, has_openvino
from models.runtimes.openvino import core
from models.runtimes.processor import packs_bf16, processor_name


class PrecisionError(ValueError):
    """This processor does not compute in the format asked for. The message is one sentence."""


def formats(backend: Backend) -> tuple[Precision, ...]:
    """Return the formats that a backend computes in on this processor, float32 first."""
    asked = core.computes_bf16 if backend == "openvino" and has_openvino() else packs_bf16
    return ("fp32", "bf16", "int8") if asked() else ("fp32", "int8")


def require(precision: Precision, backend: Backend = "torch") -> None:
    """Do nothing if this processor computes in a format.

    Raises:
        PrecisionError: it does not; the message names the format and the processor.
    """
    known = formats(backend)
    if precision not in known:
        raise PrecisionError(
            f"this processor ({processor_name()}) does not compute in {precision} on {backend}; "
            f"take auto, {' or '.join(known)}"
        )
