"""Tiny BLIP-2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from PIL import Image
from tokenizers import AddedToken
from transformers import (
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2Processor,
    BlipImageProcessorPil,
)

from models.captioners.vlm.family import Family
from tests.models.captioners.vlm.families.parts import CLIP, byte_tokenizer, save


def make(directory: Path) -> None:
    """BLIP-2: ViT of two layers, four queries in two layers, OPT of two."""
    tokenizer = byte_tokenizer(
        ("<unk>", "<pad>", "</s>", "<image>"),
        bos_token="</s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
    )
    tokenizer.add_bos_token = True
    config = Blip2Config(
        vision_config={
            "hidden_size": 24,
            "intermediate_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 32,
            "patch_size": 8,
        },
        qformer_config={
            "hidden_size": 24,
            "encoder_hidden_size": 24,
            "intermediate_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
        },
        text_config={
            "model_type": "opt",
            "vocab_size": len(tokenizer),
            "hidden_size": 32,
            "word_embed_proj_dim": 32,
            "ffn_dim": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "max_position_embeddings": 160,
            "bos_token_id": 2,
            # The end of a line ends a caption.
            "eos_token_id": tokenizer.convert_tokens_to_ids("Ċ"),
            "pad_token_id": 1,
        },
        num_query_tokens=4,
        image_token_index=3,
    )
    preprocessor = {"size": {"height": 32, "width": 32}, "do_resize": True, **CLIP}
    save(Blip2ForConditionalGeneration(config), directory, preprocessor, tokenizer)


MAKERS = {"blip-2": make}


def reference(
    family: Family, pictures: list[Image.Image], prompt: str | None, **options: Any
) -> torch.Tensor:
    family.tokenizer.image_token = AddedToken("<image>", normalized=False, special=True)
    images = BlipImageProcessorPil(size={"height": 32, "width": 32})
    processor = Blip2Processor(images, family.tokenizer, num_query_tokens=4)
    text = [prompt] * len(pictures) if prompt else None
    inputs = processor(images=pictures, text=text, return_tensors="pt")
    # Ids come back as they went in: four of the picture, the start, the prompt.
    read = inputs["input_ids"].shape[1] if prompt else 5
    found = family.network.generate(**inputs, **options, do_sample=False)
    return found[:, read:]
