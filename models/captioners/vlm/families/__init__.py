"""Families of transformers captioners: how each is asked and how each is stepped.

One file a family where they differ; `FAMILIES` finds it by the `model_type` of a `config.json`
without importing any.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from models.api.metadata import BrokenModelError

if TYPE_CHECKING:
    from models.captioners.vlm.family import Family

METHOD = "image-text-to-text"
"""The method that these families make up."""

FAMILIES: dict[str, str] = {
    "blip": "models.captioners.vlm.families.blip:Blip",
    "git": "models.captioners.vlm.families.git:Git",
    "florence2": "models.captioners.vlm.families.florence2:Florence2",
    "idefics3": "models.captioners.vlm.families.idefics3:Idefics3",
    "smolvlm": "models.captioners.vlm.families.idefics3:Idefics3",
    "blip-2": "models.captioners.vlm.families.blip2:Blip2",
    "kosmos-2": "models.captioners.vlm.families.kosmos2:Kosmos2",
    "paligemma": "models.captioners.vlm.families.paligemma:PaliGemma",
    "llava": "models.captioners.vlm.families.llava:Llava",
    "qwen2_vl": "models.captioners.vlm.families.qwen_vl:QwenVl",
    "qwen2_5_vl": "models.captioners.vlm.families.qwen_vl:QwenVl",
    "qwen3_vl": "models.captioners.vlm.families.qwen_vl:QwenVl",
}
"""`model_type` to `module:class`."""

ARCHITECTURES: tuple[str, ...] = (
    "BlipForConditionalGeneration",
    "GitForCausalLM",
    "Florence2ForConditionalGeneration",
    "Idefics3ForConditionalGeneration",
    "SmolVLMForConditionalGeneration",
    "Blip2ForConditionalGeneration",
    "Kosmos2ForConditionalGeneration",
    "PaliGemmaForConditionalGeneration",
    "LlavaForConditionalGeneration",
    "Qwen2VLForConditionalGeneration",
    "Qwen2_5_VLForConditionalGeneration",
    "Qwen3VLForConditionalGeneration",
)
"""Network classes of these families, as `architectures` in `config.json` names them."""


def family_class(model_type: str) -> type[Family]:
    """Return the family of a `model_type`.

    Raises:
        BrokenModelError: there is none.
    """
    try:
        module, name = FAMILIES[model_type].split(":")
    except KeyError:
        known = ", ".join(FAMILIES)
        raise BrokenModelError(
            f"networks of type {model_type!r} are not supported; these are: {known}"
        ) from None
    found: type[Family] = getattr(import_module(module), name)
    return found
