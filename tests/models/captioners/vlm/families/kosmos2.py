"""Tiny Kosmos-2."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import (
    CLIPImageProcessorPil,
    Kosmos2Config,
    Kosmos2ForConditionalGeneration,
    Kosmos2Processor,
)

from models.captioners.vlm.family import Family
from tests.models.captioners.vlm.families.parts import CLIP, byte_tokenizer, save


def make(directory: Path) -> None:
    """Kosmos-2: CLIP's ViT of two layers, decoder of two, four picture tokens."""
    tokenizer = byte_tokenizer(
        ("<s>", "<pad>", "</s>", "<unk>", "<image>", "</image>", "<phrase>", "</phrase>"),
        bos_token="<s>",
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
    )
    config = Kosmos2Config(
        vision_config={
            "hidden_size": 24,
            "intermediate_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 32,
            "patch_size": 8,
        },
        text_config={
            "vocab_size": len(tokenizer),
            "embed_dim": 32,
            "layers": 2,
            "ffn_dim": 48,
            "attention_heads": 4,
            "max_position_embeddings": 160,
        },
        latent_query_num=4,
    )
    preprocessor = {
        "size": {"shortest_edge": 32},
        "crop_size": {"height": 32, "width": 32},
        "do_center_crop": True,
        **CLIP,
    }
    network = Kosmos2ForConditionalGeneration(config)
    # Its words would drown its pictures.
    scaled = {"image_to_text_projection": 8.0, "embed_tokens": 0.2}
    save(network, directory, preprocessor, tokenizer, scaled=scaled)


MAKERS = {"kosmos-2": make}


def reference(
    family: Family, pictures: list[Image.Image], prompt: str | None, **options: Any
) -> torch.Tensor:
    images = CLIPImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    )
    # The processor adds markers; not to the tokenizer that is tested.
    processor = Kosmos2Processor(images, copy.deepcopy(family.tokenizer), num_patch_index_tokens=0)
    inputs = processor(
        images=pictures,
        text=[str(prompt)] * len(pictures),
        num_image_tokens=4,
        return_tensors="pt",
    )
    read = inputs["input_ids"].shape[1]
    return family.network.generate(**inputs, **options, do_sample=False)[:, read:]
