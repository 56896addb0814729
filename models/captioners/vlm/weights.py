"""Weights of a model directory in the number format asked for, never held in two formats at once.

transformers maps a file whose format is the one asked for: no copy is made, and processes share it.
Of any other it holds the file and the copy, half as much again. So those are read here, tensor by
tensor, and handed over in the format asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
"""Number format by its name in the file's header."""


def stored_dtypes(directory: Path) -> set[torch.dtype]:
    """Return the floating-point formats of a directory's weights.

    Raises:
        OSError, ValueError, KeyError: the files are missing or damaged.
    """
    found = set()
    for path in _files(directory):
        found |= {_DTYPES[entry["dtype"]] for entry in _header(path)[0].values()}
    return {dtype for dtype in found if dtype.is_floating_point}


def read_weights(directory: Path, dtype: torch.dtype) -> dict[str, Tensor]:
    """Return a directory's weights, those in floating point as `dtype`.

    Raises:
        OSError, ValueError, KeyError: the files are missing or damaged.
    """
    return {name: tensor for path in _files(directory) for name, tensor in _read(path, dtype)}


def _files(directory: Path) -> list[Path]:
    whole = directory / "model.safetensors"
    found = [whole] if whole.is_file() else sorted(directory.glob("model-*-of-*.safetensors"))
    if not found:
        raise FileNotFoundError(f"no file named {whole.name}")
    return found


def _header(path: Path) -> tuple[dict[str, Any], int]:
    """Return a file's tensors by name, as its header has them, and where their bytes begin."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > path.stat().st_size:
            raise ValueError(f"{path.name} is truncated")
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    return header, 8 + length


def _read(path: Path, dtype: torch.dtype) -> Iterator[tuple[str, Tensor]]:
    header, start = _header(path)
    with path.open("rb") as file:
        for name, entry in header.items():
            first, end = entry["data_offsets"]
            file.seek(start + first)
            buffer = bytearray(end - first)
            if file.readinto(buffer) != len(buffer):
                raise ValueError(f"{path.name} is truncated")
            kind = _DTYPES[entry["dtype"]]
            flat = torch.frombuffer(buffer, dtype=kind) if buffer else torch.empty(0, dtype=kind)
            tensor = flat.reshape(entry["shape"])
            yield name, tensor.to(dtype) if kind.is_floating_point else tensor
