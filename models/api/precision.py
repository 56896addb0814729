"""Which number format a model computes in, and which of them this processor is fast at.

No torch at import: the gateway reads the setting's values from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Literal

Precision = Literal["fp32", "bf16", "int8"]
"""`"fp32"` is the reference. `"bf16"` rounds weights and activations to bfloat16, all but the
vocabulary projection. `"int8"` quantises the linear layers: weights once, one scale an output
channel; activations in every call, one scale a tensor, so that a caption may depend by a rounding
on what else is in its batch. Convolutions, and keys and values of the picture, are then bfloat16
where the processor has it."""

PrecisionSetting = Literal["auto", "fp32", "bf16", "int8"]

MOST_CIDER_LOST = 0.01
"""int8 is chosen by itself only if validation CIDEr falls by less than this share."""


@cache
def has_bf16() -> bool:
    """Whether the processor multiplies bfloat16 natively; emulated, it is slower than float32."""
    import torch

    found = torch.cpu.get_capabilities()
    return any(found.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def is_narrow(precision: Precision) -> bool:
    """Whether bfloat16 stands in for float32 where a precision does not say otherwise."""
    return precision == "bf16" or (precision == "int8" and has_bf16())


@cache
def has_int8() -> bool:
    """Whether torch has int8 linear layers for this processor that are worth their rounding."""
    import torch

    found = torch.cpu.get_capabilities()
    # Without VNNI the kernels keep a bit of every activation back, and gain little.
    vnni = any(found.get(name, False) for name in ("avx512_vnni", "avx_vnni", "amx_int8"))
    return vnni and "fbgemm" in torch.backends.quantized.supported_engines


def keeps_its_scores(measured: Mapping[str, float], reference: Mapping[str, float]) -> bool:
    """Whether CIDEr was measured in a precision and fell by less than `MOST_CIDER_LOST` anywhere.

    Args:
        measured: CIDEr by split, in the precision to judge.
        reference: CIDEr by split in float32.
    """
    return bool(measured) and all(
        split in reference and score > reference[split] * (1 - MOST_CIDER_LOST)
        for split, score in measured.items()
    )
