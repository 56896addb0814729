"""What a model computes on and in: device, the library that runs it, number format, the choice.

No torch and no OpenVINO: the gateway reads the settings' values from here.
`models.runtimes.formats` knows what this machine can, `models.runtimes.devices` what it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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

MOST_CIDER_LOST = 0.01
"""int8 is chosen by itself only if validation CIDEr falls by less than this share."""


class DeviceError(ValueError):
    """A device is not there, or not for this. The message is one sentence for people."""


@dataclass(frozen=True)
class Device:
    """Where a network and its inputs live. `models.runtimes.devices.find_device` chooses it.

    Attributes:
        name: as torch writes it: `"cpu"`, `"cuda"`, `"cuda:1"`.
    """

    name: str = "cpu"

    @property
    def kind(self) -> str:
        """The name without a number."""
        return self.name.partition(":")[0]

    @property
    def is_cpu(self) -> bool:
        """Whether it is the processor, for which networks are packed."""
        return self.kind == "cpu"


CPU = Device()


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
