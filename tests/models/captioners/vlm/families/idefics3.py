"""Tiny Idefics3 and SmolVLM."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import (
    GenerationConfig,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3ImageProcessorPil,
    Idefics3Processor,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
)
from transformers.models.smolvlm.processing_smolvlm import (
    DEFAULT_CHAT_TEMPLATE as SMOLVLM_TEMPLATE,
)

from models.captioners.vlm.family import Family
from tests.models.captioners.vlm.families.parts import byte_tokenizer, save


def _make_idefics3(directory: Path, config_class: Any, network_class: Any) -> None:
    markers = ("<|im_start|>", "<end_of_utterance>", "<fake_token_around_image>", "<global-img>")
    rows = [f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)]
    tokenizer = byte_tokenizer(
        (*markers, "<image>", "<|endoftext|>", *rows),
        bos_token="<|im_start|>",
        eos_token="<|endoftext|>",
        pad_token="<|endoftext|>",
    )
    config = config_class(
        vision_config={
            "hidden_size": 24,
            "intermediate_size": 32,
            "num_hidden_layers": 2,
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
            "num_key_value_heads": 2,
            "max_position_embeddings": 192,
            "bos_token_id": 0,
            "eos_token_id": 5,
            "pad_token_id": 5,
        },
        image_token_id=4,
        scale_factor=2,
        tie_word_embeddings=True,
    )
    network = network_class(config)
    network.generation_config = GenerationConfig(
        bos_token_id=0, eos_token_id=[5, 1], pad_token_id=5
    )
    preprocessor = {
        "size": {"longest_edge": 64},
        "max_image_size": {"longest_edge": 32},
        "do_image_splitting": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "resample": 1,
    }
    save(network, directory, preprocessor, tokenizer)


def make(directory: Path) -> None:
    """Idefics3: SigLIP of two layers, Llama of two."""
    _make_idefics3(directory, Idefics3Config, Idefics3ForConditionalGeneration)


def make_smolvlm(directory: Path) -> None:
    """SmolVLM: the same."""
    _make_idefics3(directory, SmolVLMConfig, SmolVLMForConditionalGeneration)
    # As older checkpoints keep it.
    template = SMOLVLM_TEMPLATE.replace("Assistant:", "Assistant: ")
    (directory / "chat_template.json").write_text(json.dumps({"chat_template": template}))


MAKERS = {"idefics3": make, "smolvlm": make_smolvlm}


def reference(
    family: Family, pictures: list[Image.Image], prompt: str | None, **options: Any
) -> torch.Tensor:
    images = Idefics3ImageProcessorPil(
        size={"longest_edge": 32}, max_image_size={"longest_edge": 32}, do_image_splitting=False
    )
    processor = Idefics3Processor(images, family.tokenizer, image_seq_len=4)
    content = [{"type": "image"}, {"type": "text", "text": prompt}]
    chat = family.tokenizer.apply_chat_template(
        [{"role": "user", "content": content}],
        chat_template=family.tokenizer.chat_template or SMOLVLM_TEMPLATE,
        add_generation_prompt=True,
        tokenize=False,
    )
    inputs = processor(
        images=[[picture] for picture in pictures],
        text=[chat] * len(pictures),
        add_special_tokens=False,
        return_tensors="pt",
    )
    inputs.pop("mm_token_type_ids", None)
    read = inputs["input_ids"].shape[1]
    return family.network.generate(**inputs, **options, do_sample=False)[:, read:]
