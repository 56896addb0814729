"""Tiny GIT."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import CLIPImageProcessorPil, GitConfig, GitForCausalLM, GitProcessor

from models.captioners.vlm.family import Family
from tests.models.captioners.vlm.families.parts import CLIP, bert_tokenizer, save


def make(directory: Path) -> None:
    """GIT: CLIP's ViT of two layers, decoder of two."""
    tokenizer = bert_tokenizer()
    config = GitConfig(
        vision_config={
            "hidden_size": 24,
            "intermediate_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 32,
            "patch_size": 8,
        },
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=96,
        bos_token_id=tokenizer.cls_token_id,
        eos_token_id=tokenizer.sep_token_id,
        pad_token_id=0,
    )
    preprocessor = {
        "size": {"shortest_edge": 32},
        "crop_size": {"height": 32, "width": 32},
        "do_center_crop": True,
        **CLIP,
    }
    save(GitForCausalLM(config), directory, preprocessor, tokenizer)


MAKERS = {"git": make}


def reference(
    family: Family, pictures: list[Image.Image], prompt: str | None, **options: Any
) -> torch.Tensor:
    images = CLIPImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    )
    inputs = GitProcessor(images, family.tokenizer)(pictures, return_tensors="pt")
    ids = [family.tokenizer.cls_token_id]
    if prompt:
        ids += family.tokenizer(prompt, add_special_tokens=False)["input_ids"]
    inputs["input_ids"] = torch.tensor([ids] * len(pictures))
    return family.network.generate(**inputs, **options, do_sample=False)[:, len(ids) :]
