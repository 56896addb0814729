"""Tiny Qwen2-VL, Qwen2.5-VL and Qwen3-VL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import (
    GenerationConfig,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen2VLImageProcessorPil,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
)

from models.captioners.vlm.family import Family
from tests.models.captioners.vlm.families.parts import CLIP, byte_tokenizer, save

MARKERS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)


def _make(
    directory: Path, config_class: Any, network_class: Any, vision: dict[str, Any], **text: Any
) -> None:
    tokenizer = byte_tokenizer(MARKERS, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    config = config_class(
        vision_config={"num_heads": 2, "patch_size": 4, "spatial_merge_size": 2, **vision},
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 192,
            "bos_token_id": 0,
            "eos_token_id": 2,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "mrope_section": [2, 1, 1],
            },
            **text,
        },
        image_token_id=5,
        video_token_id=6,
        vision_start_token_id=3,
        vision_end_token_id=4,
    )
    network = network_class(config)
    network.generation_config = GenerationConfig(
        bos_token_id=0, eos_token_id=[2, 0], pad_token_id=0
    )
    preprocessor = {"min_pixels": 64, "max_pixels": 1100, "patch_size": 4, "merge_size": 2, **CLIP}
    save(network, directory, preprocessor, tokenizer)


def make(directory: Path) -> None:
    """Qwen2-VL of two layers each."""
    vision = {"depth": 2, "embed_dim": 16, "hidden_size": 32}
    _make(directory, Qwen2VLConfig, Qwen2VLForConditionalGeneration, vision)


def make_2_5(directory: Path) -> None:
    """Qwen2.5-VL of two layers each, one of them with windows."""
    vision = {
        "depth": 2,
        "hidden_size": 16,
        "intermediate_size": 24,
        "out_hidden_size": 32,
        "window_size": 16,
        "fullatt_block_indexes": [1],
    }
    _make(directory, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, vision)


def make_3(directory: Path) -> None:
    """Qwen3-VL of two layers each, one of whose picture features enter the text again."""
    vision = {
        "depth": 2,
        "hidden_size": 16,
        "intermediate_size": 24,
        "out_hidden_size": 32,
        "num_position_embeddings": 64,
        "deepstack_visual_indexes": [0],
    }
    _make(directory, Qwen3VLConfig, Qwen3VLForConditionalGeneration, vision, head_dim=8)


MAKERS = {"qwen2_vl": make, "qwen2_5_vl": make_2_5, "qwen3_vl": make_3}


def reference(
    family: Family, pictures: list[Image.Image], prompt: str | None, **options: Any
) -> torch.Tensor:
    # The processor cannot be made without a video processor, which needs torchvision.
    images = Qwen2VLImageProcessorPil(
        min_pixels=64, max_pixels=1100, patch_size=4, merge_size=2, temporal_patch_size=2
    )
    inputs = images(pictures, return_tensors="pt")
    count = int(inputs["image_grid_thw"][0].prod()) // 4
    chat = (
        f"<|im_start|>user\n<|vision_start|>{'<|image_pad|>' * count}<|vision_end|>{prompt}"
        "<|im_end|>\n<|im_start|>assistant\n"
    )
    tokens = family.tokenizer([chat] * len(pictures), return_tensors="pt")
    ids = tokens["input_ids"]
    found = family.network.generate(
        input_ids=ids,
        attention_mask=tokens["attention_mask"],
        mm_token_type_ids=(ids == 5).int(),
        **inputs,
        **options,
        do_sample=False,
    )
    return found[:, ids.shape[1] :]
