"""Where a model directory keeps its OpenVINO graphs, and what they do not say of themselves.

No torch and no OpenVINO at import: what may be served is decided here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from models.api.device import Precision
from models.api.metadata import BrokenModelError

FOLDER = "openvino"
_INFO = "graphs.json"

WEIGHTS: tuple[Precision, ...] = ("fp32", "int8")
"""Number formats that weights can be written in; bfloat16 is computed with those of float32."""

BEST = 16
"""Tokens that a step finds for each row by itself; a search of five beams asks for ten and some."""


class Sizes(BaseModel):
    """What a network's parts, or the graphs made of them, do not say of themselves.

    Attributes:
        bos_id, eos_id: tokens that start and end every caption.
        vocab_size: number of tokens.
        max_tokens: longest caption in tokens, the end token included.
        grid: rows and columns of the picture's places.
        layers, heads, head_dim, width: of the decoder; `width` is that of its last layer's output.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    bos_id: int
    eos_id: int
    vocab_size: int
    max_tokens: int
    grid: tuple[int, int]
    layers: int
    heads: int
    head_dim: int
    width: int


class GraphsInfo(Sizes):
    """Contents of `openvino/graphs.json`.

    Attributes:
        weights: number formats that the weights are there in: `"fp32"`, `"int8"` or both.
        seven_bits: int8 weights leave a bit free, so that processors without VNNI add products of
            bytes rightly too; graphs of older versions do not.
    """

    weights: tuple[Precision, ...]
    seven_bits: bool = False

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """What the graphs can compute in, the reference first; bfloat16 rounds float32 weights."""
        found: list[Precision] = []
        if "fp32" in self.weights:
            found += ["fp32", "bf16"]
        if "int8" in self.weights:
            found.append("int8")
        return tuple(found)

    @classmethod
    def read(cls, directory: Path) -> Self:
        """Read the file of a model directory.

        Raises:
            BrokenModelError: it is missing or damaged.
        """
        path = directory / FOLDER / _INFO
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except (OSError, ValidationError) as error:
            raise BrokenModelError(f"{FOLDER}/{_INFO} cannot be read: {error}") from error

    def write(self, directory: Path) -> None:
        """Write the file of a model directory."""
        text = self.model_dump_json(indent=2)
        (directory / FOLDER / _INFO).write_text(text + "\n", encoding="utf-8")


def has_graphs(directory: Path) -> bool:
    """Whether a model directory holds graphs."""
    return (directory / FOLDER / _INFO).is_file()


def graph_path(directory: Path, name: str, weights: Precision) -> Path:
    """Return where a model directory keeps a graph; its weights lie beside it, `.bin`."""
    return directory / FOLDER / f"{name}-{weights}.xml"
