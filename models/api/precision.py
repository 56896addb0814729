"""Which number formats a model may compute in; `models.runtimes.processor` knows what it can here.

No torch: the gateway reads the setting's values from here.
"""

from __future__ import annotations

from collections.abc import Mapping
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
