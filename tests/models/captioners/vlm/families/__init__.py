"""Tiny networks of the true architectures with random weights, in the layout of the hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from models.api import metadata as metadata_module
from models.captioners.vlm.family import Family
from models.captioners.vlm.step import Prefill
from models.hub.conversion import read_json
from models.hub.import_model import recognise
from models.registry import METHODS, load_object
from tests.models.captioners.vlm.families import (
    blip,
    blip2,
    florence2,
    git,
    idefics3,
    kosmos2,
    llava,
    paligemma,
    qwen_vl,
)
from tests.models.captioners.vlm.families.parts import Maker, Reference

MAKERS: dict[str, Maker] = {
    "blip": blip.make,
    "git": git.make,
    "florence2": florence2.make,
    "idefics3": idefics3.make,
    "smolvlm": idefics3.make_smolvlm,
    "blip-2": blip2.make,
    "kosmos-2": kosmos2.make,
    "paligemma": paligemma.make,
    "llava": llava.make,
    "qwen2_vl": qwen_vl.make,
    "qwen2_5_vl": qwen_vl.make_2_5,
    "qwen3_vl": qwen_vl.make_3,
}
"""`model_type` to what writes a tiny hub model of it."""

REFERENCES: dict[str, Reference] = {
    "blip": blip.reference,
    "git": git.reference,
    "florence2": florence2.reference,
    "idefics3": idefics3.reference,
    "smolvlm": idefics3.reference,
    "blip-2": blip2.reference,
    "kosmos-2": kosmos2.reference,
    "paligemma": paligemma.reference,
    "llava": llava.reference,
    "qwen2_vl": qwen_vl.reference,
    "qwen2_5_vl": qwen_vl.reference,
    "qwen3_vl": qwen_vl.reference,
}
"""`model_type` to what transformers itself would write."""


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
