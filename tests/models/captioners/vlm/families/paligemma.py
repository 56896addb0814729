"""Tiny PaliGemma."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import (
    PaliGemmaConfig,
    PaliGemmaForConditionalGeneration,
    PaliGemmaProcessor,
    SiglipImageProcessorPil,
)

from models.captioners.vlm.family import Family
from tests.models.captioners.vlm.families.parts import byte_tokenizer, save


def make(directory: Path) -> None:
    """PaliGemma: SigLIP of two layers, Gemma of two."""
    tokenizer = byte_tokenizer(
        ("<pad>", "<eos>", "<bos>", "<unk>", "<image>"),
        pad_token="<pad>",
        eos_token="<eos>",
        bos_token="<bos>",
        unk_token="<unk>",
    )
    config = PaliGemmaConfig(
        vision_config={
            "model_type": "siglip_vision_model",
            "hidden_size": 24,
            "intermediate_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 32,
            "patch_size": 8,
            "vision_use_head": False,
        },
        text_config={
            "model_type": "gemma",
            "vocab_size": len(tokenizer),
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 8,
            "max_position_embeddings": 192,
            "bos_token_id": 2,
            "eos_token_id": 1,
            "pad_token_id": 0,
        },
        image_token_index=4,
        projection_dim=32,
        hidden_size=32,
        vocab_size=len(tokenizer),
    )
    preprocessor = {
        "size": {"height": 32, "width": 32},
        "image_seq_length": 16,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "resample": 3,
    }
    save(PaliGemmaForConditionalGeneration(config), directory, preprocessor, tokenizer)


MAKERS = {"paligemma": make}


def reference(
    family: Family, pictures: list[Image.Image], prompt: str | None, **options: Any
) -> torch.Tensor:
    images = SiglipImageProcessorPil(size={"height": 32, "width": 32})
    images.image_seq_length = 16
    family.tokenizer.image_token, family.tokenizer.image_token_id = "<image>", 4
    # The processor adds markers; not to the tokenizer that is tested.
    processor = PaliGemmaProcessor(images, copy.deepcopy(family.tokenizer))
    text = [f"<image>{prompt}"] * len(pictures)
    inputs = processor(images=pictures, text=text, return_tensors="pt")
    inputs.pop("labels", None)
    read = inputs["input_ids"].shape[1]
    return family.network.generate(**inputs, **options, do_sample=False)[:, read:]
