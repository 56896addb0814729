"""Tiny LLaVA."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import (
    CLIPImageProcessorPil,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
)

from models.captioners.vlm.family import Family
from tests.models.captioners.vlm.families.parts import CLIP, byte_tokenizer, save


def make(directory: Path) -> None:
    """LLaVA: CLIP's ViT of three layers, Llama of two."""
    tokenizer = byte_tokenizer(
        ("<s>", "</s>", "<unk>", "<image>"), bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    tokenizer.add_bos_token = True
    config = LlavaConfig(
        vision_config={
            "model_type": "clip_vision_model",
            "hidden_size": 24,
            "intermediate_size": 32,
            "num_hidden_layers": 3,
            "num_attention_heads": 2,
            "image_size": 32,
            "patch_size": 8,
        },
        text_config={
            "model_type": "llama",
            "vocab_size": len(tokenizer),
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "max_position_embeddings": 192,
            "bos_token_id": 0,
            "eos_token_id": 1,
        },
        image_token_index=3,
    )
    preprocessor = {
        "size": {"shortest_edge": 32},
        "crop_size": {"height": 32, "width": 32},
        "do_center_crop": True,
        **CLIP,
    }
    save(LlavaForConditionalGeneration(config), directory, preprocessor, tokenizer)


MAKERS = {"llava": make}


def reference(
    family: Family, pictures: list[Image.Image], prompt: str | None, **options: Any
) -> torch.Tensor:
    images = CLIPImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    )
    processor = LlavaProcessor(
        images,
        family.tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )
    chat = f"USER: <image>\n{prompt} ASSISTANT:"
    inputs = processor(images=pictures, text=[chat] * len(pictures), return_tensors="pt")
    inputs.pop("mm_token_type_ids", None)
    read = inputs["input_ids"].shape[1]
    return family.network.generate(**inputs, **options, do_sample=False)[:, read:]
