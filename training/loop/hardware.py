"""What this machine can do for training."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch


def bf16_available() -> bool:
    """Return whether mixed bfloat16 is fast here: recent GPUs, CPUs with AVX512-BF16 or AMX.

    CPUs without such instructions emulate bfloat16, several times slower than float32.
    """
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported()
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def use_bf16(wish: Literal["auto", "on", "off"]) -> bool:
    """Return whether to train in mixed bfloat16 precision."""
    return wish == "on" or (wish == "auto" and bf16_available())
