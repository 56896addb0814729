"""Families of transformers captioners: how each is asked and how each is stepped.

One file a family, one entry of `FAMILIES` each. The table is read without importing any of them, by
the registry too: no torch here.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from models.api.metadata import BrokenModelError

if TYPE_CHECKING:
    from models.captioners.vlm.family import Family


@dataclass(frozen=True)
class FamilyEntry:
    """A family, as far as it is known without its code.

    Attributes:
        implementation: `module:class` of its `Family`.
        networks: `model_type` of a `config.json` to the network class that `architectures` names
            there, one for each generation that the family reads.
    """

    implementation: str
    networks: dict[str, str]


FAMILIES: tuple[FamilyEntry, ...] = (
    FamilyEntry(
        "models.captioners.vlm.families.blip:Blip",
        {"blip": "BlipForConditionalGeneration"},
    ),
    FamilyEntry(
        "models.captioners.vlm.families.git:Git",
        {"git": "GitForCausalLM"},
    ),
    FamilyEntry(
        "models.captioners.vlm.families.florence2:Florence2",
        {"florence2": "Florence2ForConditionalGeneration"},
    ),
    FamilyEntry(
        "models.captioners.vlm.families.idefics3:Idefics3",
        {
            "idefics3": "Idefics3ForConditionalGeneration",
            "smolvlm": "SmolVLMForConditionalGeneration",
        },
    ),
    FamilyEntry(
        "models.captioners.vlm.families.blip2:Blip2",
        {"blip-2": "Blip2ForConditionalGeneration"},
    ),
    FamilyEntry(
        "models.captioners.vlm.families.kosmos2:Kosmos2",
        {"kosmos-2": "Kosmos2ForConditionalGeneration"},
    ),
    FamilyEntry(
        "models.captioners.vlm.families.paligemma:PaliGemma",
        {"paligemma": "PaliGemmaForConditionalGeneration"},
    ),
    FamilyEntry(
        "models.captioners.vlm.families.llava:Llava",
        {"llava": "LlavaForConditionalGeneration"},
    ),
    FamilyEntry(
        "models.captioners.vlm.families.qwen_vl:QwenVl",
        {
            "qwen2_vl": "Qwen2VLForConditionalGeneration",
            "qwen2_5_vl": "Qwen2_5_VLForConditionalGeneration",
            "qwen3_vl": "Qwen3VLForConditionalGeneration",
        },
    ),
)

ARCHITECTURES: tuple[str, ...] = tuple(
    network for entry in FAMILIES for network in entry.networks.values()
)
"""Network classes of all families, as `architectures` in `config.json` names them."""

MODEL_TYPES: dict[str, FamilyEntry] = {
    model_type: entry for entry in FAMILIES for model_type in entry.networks
}


def family_class(model_type: str) -> type[Family]:
    """Return the family of a `model_type`.

    Raises:
        BrokenModelError: there is none.
    """
    try:
        module, name = MODEL_TYPES[model_type].implementation.split(":")
    except KeyError:
        known = ", ".join(MODEL_TYPES)
        raise BrokenModelError(
            f"networks of type {model_type!r} are not supported; these are: {known}"
        ) from None
    found: type[Family] = getattr(import_module(module), name)
    return found
