"""What this machine can do for training."""

from __future__ import annotations

from typing import Literal

import torch

from models.runtimes.processor import has_bf16


def bf16_available() -> bool:
    """Return whether mixed bfloat16 is fast here: recent GPUs, CPUs with AVX512-BF16 or AMX.

    CPUs without such instructions emulate bfloat16, several times slower than float32.
    """
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported()
    return has_bf16()


def use_bf16(wish: Literal["auto", "on", "off"]) -> bool:
    """Return whether to train in mixed bfloat16 precision."""
    return wish == "on" or (wish == "auto" and bf16_available())
