"""Tiny networks of the true architectures with random weights, in the layout of the hub."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from models.api import metadata as metadata_module
from models.captioners.vlm.families import FAMILIES
from models.captioners.vlm.family import Family
from models.captioners.vlm.step import Prefill
from models.checkpoints.pretrained import read_json
from models.hub.import_model import recognise
from models.registry import METHODS, load_object
from tests.models.captioners.vlm.families.parts import Maker, Reference

MAKERS: dict[str, Maker] = {}
"""`model_type` to what writes a tiny hub model of it."""

REFERENCES: dict[str, Reference] = {}
"""`model_type` to what transformers itself would write."""

for entry in FAMILIES:
    # Beside this file, one of the same name for every family: its `MAKERS` and its `reference`.
    file = entry.implementation.split(":")[0].rpartition(".")[2]
    module = import_module(f"{__name__}.{file}")
    MAKERS |= module.MAKERS
    REFERENCES |= dict.fromkeys(module.MAKERS, module.reference)


def import_tiny(source: Path, target: Path) -> None:
    """Convert a hub model that is known to be one of these families."""
    method = METHODS[recognise(read_json(source / "config.json"))]
    metadata_module.write(target, load_object(method.converter)(source, target))


def extended(family: Family, prefill: Prefill, tokens: torch.Tensor) -> dict[str, Any]:
    """Return the inputs of one pass over prompt and caption; `tokens` is int64 `[1, T]`."""
    inputs = dict(prefill.inputs)
    if "inputs_embeds" in inputs:
        words = family.network.get_input_embeddings()(tokens)
        inputs["inputs_embeds"] = torch.cat((inputs["inputs_embeds"], words), 1)
        return inputs
    inputs[family.ids_name] = torch.cat((inputs[family.ids_name], tokens), 1)
    # Words of a caption are no picture, and not part of what sees both ways.
    for name, value in (
        ("mm_token_type_ids", 0),
        ("image_embeds_position_mask", 0),
        ("token_type_ids", 1),
    ):
        if name in inputs:
            more = torch.full_like(tokens, value).to(inputs[name].dtype)
            inputs[name] = torch.cat((inputs[name], more), 1)
    return inputs
