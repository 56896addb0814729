"""What this machine's processor can compute: asked once, by having it compute something small.

Flags alone do not tell. torch packs bfloat16 on a processor that lacks the instructions to compute
it (and then fails), a limit such as `ONEDNN_MAX_CPU_ISA` takes away what the flags promise, and
whether sums of products of bytes are right depends on the library as much as on the processor.

No torch at import; `models.runtimes.formats` says what follows for a backend.
"""

from __future__ import annotations

import platform
import warnings
from functools import cache
from pathlib import Path

from models.api.device import Precision

_LEVELS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("AMX", ("amx_bf16", "amx_int8")),
    ("AVX512 with bfloat16", ("avx512_bf16",)),
    ("AVX512 with VNNI", ("avx512_vnni",)),
    ("AVX512", ("avx512f",)),
    ("AVX2 with VNNI", ("avx_vnni",)),
    ("AVX2", ("avx2",)),
    ("bfloat16", ("bf16",)),  # Arm's
)
"""Name of a level and the flags of which one makes it, the best first."""

_NATIVE_BF16 = ("avx512_bf16", "amx_bf16", "bf16")
_VNNI = ("avx512_vnni", "avx_vnni", "amx_int8")


@cache
def processor_name() -> str:
    """Return the processor's name with what it computes with: `"AMD EPYC, AVX2"`."""
    flags = _flags()
    level = next((name for name, any_of in _LEVELS if flags & set(any_of)), "no vector extensions")
    return f"{_model_name()}, {level}"


@cache
def multiplies_bf16() -> bool:
    """Whether the processor has instructions for bfloat16; emulated, it is slower than float32."""
    return bool(_flags() & set(_NATIVE_BF16))


@cache
def has_bf16() -> bool:
    """Whether the processor multiplies bfloat16 natively, and torch with it."""
    return multiplies_bf16() and packs_bf16()


def is_narrow(precision: Precision) -> bool:
    """Whether bfloat16 stands in for float32 where a precision does not say otherwise."""
    return precision == "bf16" or (precision == "int8" and has_bf16())


@cache
def has_vnni() -> bool:
    """Whether the processor adds products of bytes in 32 bits; others do in 16, which overflow."""
    return bool(_flags() & set(_VNNI))


@cache
def has_int8() -> bool:
    """Whether torch has int8 linear layers for this processor that are worth their rounding."""
    import torch

    # Without VNNI the kernels keep a bit of every activation back, and gain little.
    engines = torch.backends.quantized.supported_engines
    return has_vnni() and "fbgemm" in engines and sums_of_bytes_are_exact()


@cache
def packs_bf16() -> bool:
    """Whether torch's packed linear layers compute in bfloat16 here, natively or not."""
    import torch

    if not torch.backends.mkldnn.is_available():
        return True  # plain layers are used then, which compute everywhere
    ones = torch.ones(16, 16, dtype=torch.bfloat16)
    try:
        packed = torch.ops.mkldnn._reorder_linear_weight(ones)
        out = torch.ops.mkldnn._linear_pointwise.default(ones, packed, None, "none", [], "")
    except RuntimeError:
        return False
    return bool((out == 16).all())


@cache
def sums_of_bytes_are_exact() -> bool:
    """Whether torch's int8 products take all eight bits of an activation.

    Older kernels add pairs of products in 16 bits, where 2 * 255 * 127 does not fit: then an
    activation has seven bits (`reduce_range`), so that no sum can overflow.
    """
    import torch

    if "fbgemm" not in torch.backends.quantized.supported_engines:
        return False
    engine = torch.backends.quantized.engine
    torch.backends.quantized.engine = "fbgemm"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch moves its quantisation tools; the kernels stay
            weight = torch.quantize_per_tensor(torch.full((32, 64), 127.0), 1.0, 0, torch.qint8)
        packed = torch.ops.quantized.linear_prepack(weight, None)
        rows = torch.full((8, 64), 255.0)  # their scale is 1, so that no rounding is in the way
        found = torch.ops.quantized.linear_dynamic.default(rows, packed, False)
    finally:
        torch.backends.quantized.engine = engine
    return bool(torch.allclose(found, torch.tensor(64 * 255 * 127.0), rtol=1e-3))


@cache
def _flags() -> frozenset[str]:
    """Return the names of the extensions this processor has, as Linux calls them."""
    return frozenset(f"{_told('flags')} {_told('Features')}".split())


def _model_name() -> str:
    return _told("model name") or platform.processor() or "of unknown name"


def _told(key: str) -> str:
    """Return what Linux says of the first processor; empty where it says nothing."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return ""
