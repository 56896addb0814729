"""Which number formats a backend computes in on this machine, and the refusal of any other.

No torch and no OpenVINO at import: the registry, which the gateway reads, imports this.
"""

from __future__ import annotations

from models.api.device import CPU, Backend, Device, Precision, has_openvino
from models.runtimes.openvino import core
from models.runtimes.processor import packs_bf16, processor_name


class PrecisionError(ValueError):
    """This processor does not compute in the format asked for. The message is one sentence."""


def formats(backend: Backend, device: Device = CPU) -> tuple[Precision, ...]:
    """Return the formats that a backend computes in on a device, float32 first."""
    if not device.is_cpu:
        return ("fp32", "bf16")  # the kernels for int8 are the processor's
    asked = core.computes_bf16 if backend == "openvino" and has_openvino() else packs_bf16
    return ("fp32", "bf16", "int8") if asked() else ("fp32", "int8")


def require(precision: Precision, backend: Backend = "torch", device: Device = CPU) -> None:
    """Do nothing if a device computes in a format.

    Raises:
        PrecisionError: it does not; the message names the format and the device.
    """
    known = formats(backend, device)
    if precision not in known:
        what = f"this processor ({processor_name()})" if device.is_cpu else device.name
        raise PrecisionError(
            f"{what} does not compute in {precision} on {backend}; take auto, {' or '.join(known)}"
        )
