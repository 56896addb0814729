"""Which device networks live on here: the only place that asks torch what there is.

No torch at import.
"""

from __future__ import annotations

from models.api.device import CPU, Device, DeviceError


def find_device(asked: str = "auto") -> Device:
    """Return the device to compute on.

    Args:
        asked: `"auto"` takes the GPU where there is one, else the processor; anything else is the
            name of a device as torch writes it.

    Raises:
        DeviceError: there is no such device.
    """
    if asked == "auto":
        return Device("cuda") if gpu_count() else CPU
    import torch

    try:
        place = torch.device(asked)
    except RuntimeError as error:
        raise DeviceError(f"{asked!r} is no device; take auto, cpu or cuda") from error
    if place.type == "cuda":
        count = gpu_count()
        if not count:
            raise DeviceError("there is no CUDA here: no GPU, no driver, or a torch without it")
        if (place.index or 0) >= count:
            raise DeviceError(f"there is no {place} here: there are {count} GPUs, from cuda:0")
    return Device(str(place))


def gpu_count() -> int:
    """Return how many GPUs torch can use."""
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def gpu_has_bf16() -> bool:
    """Whether the GPU multiplies bfloat16 natively."""
    import torch

    return torch.cuda.is_bf16_supported(including_emulation=False)
