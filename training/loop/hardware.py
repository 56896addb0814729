"""What a run computes on: device, number formats, and the processes that read its pictures."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import torch
from transformers.utils.import_utils import is_torch_tf32_available

from models.api.device import Device, DeviceError
from models.runtimes.devices import find_device, gpu_count, gpu_has_bf16
from models.runtimes.processor import has_bf16
from training.data.machine import available_cores, is_main, process_count, processes_here

logger = logging.getLogger(__name__)

_PREFETCHED = 4
"""Batches that a worker keeps ready."""


def default_workers(device: Device) -> int:
    """Return how many processes read pictures: on a GPU all cores but one, shared by processes.

    On the processor one is enough, for the network needs the cores.
    """
    if device.is_cpu:
        return 1
    return max(1, available_cores() // processes_here() - 1)


@dataclass(frozen=True)
class Hardware:
    """What a run computes on.

    Attributes:
        device: where network and batches live.
        workers: processes that read and augment pictures; 0 does it in this one.
        compiled: compile the image trunk, which takes a minute once.
    """

    device: Device = field(default_factory=find_device)
    workers: int = 1
    compiled: bool = False

    @classmethod
    def find(cls, device: str = "auto", workers: int | None = None, compiled: bool = False) -> Self:
        """Return what this machine has.

        Args:
            device: as `find_device` takes it.
            workers: None takes `default_workers`.
            compiled: see the class.

        Raises:
            DeviceError: the device is not there, or is one GPU of several by its number.
        """
        found = find_device(device)
        if found.name not in (found.kind, f"{found.kind}:0"):
            number = found.name.partition(":")[2]
            raise DeviceError(
                f"training takes the first GPU that it sees: CUDA_VISIBLE_DEVICES={number} in the "
                f"environment and --device {found.kind} train on this one"
            )
        return cls(found, default_workers(found) if workers is None else workers, compiled)

    @property
    def validation_batch(self) -> int:
        """How many pictures validation captions at once: a GPU is idle with few."""
        return 32 if self.device.is_cpu else 128

    def computes_bf16(self) -> bool:
        """Whether mixed bfloat16 is fast here: recent GPUs, CPUs with AVX512-BF16 or AMX.

        CPUs without such instructions emulate bfloat16, several times slower than float32.
        """
        if self.device.kind == "cuda":
            return gpu_has_bf16()
        return self.device.is_cpu and has_bf16()

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of `TrainingArguments` that follow from it."""
        on_gpu = self.device.kind == "cuda"
        return {
            "use_cpu": self.device.is_cpu,
            # Products of float32 in ten bits of mantissa, four times as fast.
            "tf32": True if on_gpu and is_torch_tf32_available() else None,
            "dataloader_num_workers": self.workers,
            # Else every epoch starts them anew.
            "dataloader_persistent_workers": self.workers > 0,
            "dataloader_prefetch_factor": _PREFETCHED if self.workers else None,
            # Copies from pinned memory go on while the GPU computes.
            "dataloader_pin_memory": on_gpu,
            "accelerator_config": {"non_blocking": on_gpu},
        }

    def say(self, module: str) -> None:
        """Log what is used, and how to use the GPUs that are not.

        Args:
            module: the command that trains.
        """
        count = gpu_count()
        if self.device.kind == "cuda" and count > 1 and process_count() == 1 and is_main():
            logger.info(
                "%d GPUs are here and one is used; all of them: "
                "torchrun --standalone --nproc-per-node %d -m %s …",
                count,
                count,
                module,
            )
        logger.info("on %s, pictures read by %d processes", self.device.name, self.workers)


@contextmanager
def exact_float32() -> Iterator[None]:
    """Have products of float32 computed in float32 for a while, whatever training has set."""
    backends: Any = torch.backends
    before, backends.fp32_precision = backends.fp32_precision, "ieee"
    try:
        yield
    finally:
        backends.fp32_precision = before
