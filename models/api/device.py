"""What a model computes on and in: the library that runs it, the number format, and the choice.

No torch and no OpenVINO: the gateway reads the settings' values from here.
`models.runtimes.formats` knows what this machine can.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict

K = TypeVar("K")

Backend = Literal["torch", "openvino"]
"""`"torch"` is the reference; `"openvino"` runs graphs that `models.export_openvino` has made."""

BackendSetting = Literal["torch", "openvino", "auto"]

Precision = Literal["fp32", "bf16", "int8"]
"""`"fp32"` is the reference. `"bf16"` rounds weights and activations to bfloat16, all but the
vocabulary projection. `"int8"` quantises the linear layers: weights once, one scale an output
channel; activations in every call, one scale a tensor, so that a caption may depend by a rounding
on what else is in its batch. Convolutions, and keys and values of the picture, are then bfloat16
where the processor has it."""

PrecisionSetting = Literal["auto", "fp32", "bf16", "int8"]

INSTALL = "pip install -r requirements-openvino.lock"

MOST_CIDER_LOST = 0.01
"""int8 is chosen by itself only if validation CIDEr falls by less than this share."""


class BackendError(ValueError):
    """A model cannot run on the backend asked for. The message is one sentence for people."""


class PrecisionChoice(BaseModel):
    """How a model computes, and why; `models.choose` makes it.

    Attributes:
        precision: the number format.
        asked: the setting.
        backend: what runs the network.
        backend_asked: the setting.
        ms_per_caption: measured time by format, OpenVINO's named so; empty where nothing was
            measured.
    """

    model_config = ConfigDict(frozen=True)

    precision: Precision
    asked: PrecisionSetting
    backend: Backend = "torch"
    backend_asked: BackendSetting = "torch"
    ms_per_caption: dict[str, float] = {}


def has_openvino() -> bool:
    """Whether OpenVINO is installed."""
    return find_spec("openvino") is not None


def keeps_its_scores(measured: Mapping[K, float], reference: Mapping[K, float]) -> bool:
    """Whether CIDEr was measured in a precision and fell by less than `MOST_CIDER_LOST` anywhere.

    Args:
        measured: CIDEr by how it was measured, in the precision to judge.
        reference: the same in float32.
    """
    return bool(measured) and all(
        how in reference and score > reference[how] * (1 - MOST_CIDER_LOST)
        for how, score in measured.items()
    )
