"""Tiny Florence-2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import (
    CLIPImageProcessorPil,
    Florence2Config,
    Florence2ForConditionalGeneration,
    Florence2Processor,
    GenerationConfig,
)

from models.captioners.vlm.family import Family
from tests.models.captioners.vlm.families.parts import byte_tokenizer, save


def make(directory: Path) -> None:
    """Florence-2: DaViT of four stages, BART of two layers each way."""
    tokenizer = byte_tokenizer(
        ("<s>", "<pad>", "</s>", "<unk>", "<image>", "<loc_0>"),
        bos_token="<s>",
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
    )
    config = Florence2Config(
        vision_config={
            "depths": [1, 1, 1, 1],
            "embed_dim": [8, 16, 24, 32],
            "num_heads": [2, 2, 2, 2],
            "num_groups": [2, 2, 2, 2],
            "window_size": 4,
            "projection_dim": 32,
        },
        text_config={
            "model_type": "bart",
            "vocab_size": len(tokenizer),
            "d_model": 32,
            "encoder_layers": 2,
            "decoder_layers": 2,
            "encoder_attention_heads": 4,
            "decoder_attention_heads": 4,
            "encoder_ffn_dim": 48,
            "decoder_ffn_dim": 48,
            "max_position_embeddings": 160,
            "bos_token_id": 0,
            "pad_token_id": 1,
            "eos_token_id": 2,
            "decoder_start_token_id": 2,
        },
        image_token_id=4,
    )
    network = Florence2ForConditionalGeneration(config)
    network.generation_config = GenerationConfig(
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=2,
        forced_bos_token_id=0,
        num_beams=3,
    )
    preprocessor = {
        "size": {"height": 64, "width": 64},
        "do_center_crop": False,
        "crop_size": {"height": 64, "width": 64},
        "image_seq_length": 5,
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
        "resample": 3,
    }
    # Its four stages of convolutions would amplify rounding errors.
    save(network, directory, preprocessor, tokenizer, factor=2.0)


MAKERS = {"florence2": make}


def reference(
    family: Family, pictures: list[Image.Image], prompt: str | None, **options: Any
) -> torch.Tensor:
    images = CLIPImageProcessorPil(
        size={"height": 64, "width": 64},
        do_center_crop=False,
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
    )
    images.image_seq_length = 5
    family.tokenizer.image_token, family.tokenizer.image_token_id = "<image>", 4
    processor = Florence2Processor(images, family.tokenizer)
    inputs = processor(pictures, text=[prompt] * len(pictures), return_tensors="pt")
    # One more: the forced start counts as new.
    options["max_new_tokens"] += 1
    options["no_repeat_ngram_size"] = 3
    return family.network.generate(**inputs, **options, do_sample=False)[:, 2:]
