"""Tiny BLIP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import (
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessorPil,
    BlipProcessor,
)

from models.captioners.vlm.family import Family
from tests.models.captioners.vlm.families.parts import CLIP, bert_tokenizer, save


def make(directory: Path) -> None:
    """BLIP: ViT of two layers, text decoder of two."""
    tokenizer = bert_tokenizer(("[DEC]", "[ENC]"))
    config = BlipConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "max_position_embeddings": 96,
            "bos_token_id": tokenizer.convert_tokens_to_ids("[DEC]"),
            "sep_token_id": tokenizer.sep_token_id,
            "eos_token_id": 4,
            "pad_token_id": 0,
        },
        vision_config={
            "hidden_size": 24,
            "intermediate_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 32,
            "patch_size": 8,
        },
    )
    preprocessor = {"size": {"height": 32, "width": 32}, "do_resize": True, **CLIP}
    save(BlipForConditionalGeneration(config), directory, preprocessor, tokenizer)


MAKERS = {"blip": make}


def reference(
    family: Family, pictures: list[Image.Image], prompt: str | None, **options: Any
) -> torch.Tensor:
    processor = BlipProcessor(
        BlipImageProcessorPil(size={"height": 32, "width": 32}), family.tokenizer
    )
    inputs = processor(
        pictures, text=[prompt] * len(pictures) if prompt else None, return_tensors="pt"
    )
    read = inputs["input_ids"].shape[1] - 1 if prompt else 1
    return family.network.generate(**inputs, **options, do_sample=False)[:, read:]
