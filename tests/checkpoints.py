"""Checkpoints in the hub's layout: true architectures, random weights, small or of true size."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers, trainers
from tokenizers.models import BPE
from transformers import (
    DeiTConfig,
    GPT2Config,
    SwinConfig,
    VisionEncoderDecoderConfig,
    VisionEncoderDecoderModel,
    ViTConfig,
)

CARD = """---
license: apache-2.0
tags:
- image-to-text
---
# A captioner with random weights
"""

CAPTIONS = [
    "a red dog runs on the green grass with a ball",
    "two people riding a wave on top of a surfboard",
    "a man's hat sits beside a cup of café au lait",
    "the kitchen table has plates, forks and a vase of flowers",
]

_SMALL = {
    "encoder": {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "image_size": 64,
        "patch_size": 16,
    },
    "decoder": {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64},
}


def write_gpt2_tokenizer(directory: Path, vocab_size: int = 320) -> int:
    """Write `vocab.json` and `merges.txt` as GPT-2 has them; return the id of the end token."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    if vocab_size < 1000:
        tokenizer = Tokenizer(BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size - 1, initial_alphabet=alphabet, show_progress=False
        )
        tokenizer.train_from_iterator(CAPTIONS * 4, trainer)
        tokenizer.model.save(str(directory))
        path = directory / "vocab.json"
        vocabulary = json.loads(path.read_text(encoding="utf-8"))
    else:
        # As many tokens as the true vocabulary has: made-up words of two to four letters.
        letters = "abcdefghijklmnopqrstuvwxyz"
        merges: list[tuple[str, str]] = []
        for length in (2, 3, 4):
            for word in itertools.product(letters, repeat=length):
                merges.append(("".join(word[:-1]), word[-1]))
        merges = merges[: vocab_size - 1 - len(alphabet)]
        tokens = alphabet + [first + second for first, second in merges]
        vocabulary = {token: index for index, token in enumerate(tokens)}
        lines = ["#version: 0.2", *(f"{first} {second}" for first, second in merges)]
        (directory / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    end = len(vocabulary)
    vocabulary["<|endoftext|>"] = end
    (directory / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    special = dict.fromkeys(("bos_token", "eos_token", "unk_token"), "<|endoftext|>")
    (directory / "special_tokens_map.json").write_text(json.dumps(special))
    tokenizer_config = {**special, "tokenizer_class": "GPT2Tokenizer", "model_max_length": 1024}
    (directory / "tokenizer_config.json").write_text(json.dumps(tokenizer_config))
    return end


OTHER_ENCODERS = (
    DeiTConfig(
        hidden_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=24,
        image_size=32,
        patch_size=16,
    ),
    SwinConfig(
        image_size=32, patch_size=4, embed_dim=8, depths=[1, 1], num_heads=[1, 2], window_size=4
    ),
)
"""That a `vit-gpt2` may have instead of a ViT, small."""


def write_vit_gpt2(directory: Path, *, true_size: bool = False, pickled: bool = True) -> Path:
    """Write a checkpoint as nlpconnect/vit-gpt2-image-captioning is on the hub.

    `pytorch_model.bin` without safetensors, with the buffers and the second copy of the embedding
    that transformers 4 wrote; a preprocessor file that names `ViTFeatureExtractor`.
    """
    directory.mkdir(parents=True, exist_ok=True)
    end = write_gpt2_tokenizer(directory, 50257 if true_size else 320)
    sizes: dict[str, dict[str, Any]] = {"encoder": {}, "decoder": {}} if true_size else _SMALL
    ids = {"bos_token_id": end, "eos_token_id": end, "pad_token_id": end}
    encoder = ViTConfig(**sizes["encoder"])
    decoder = GPT2Config(
        **sizes["decoder"], **ids, vocab_size=end + 1, is_decoder=True, add_cross_attention=True
    )
    config = VisionEncoderDecoderConfig.from_encoder_decoder_configs(
        encoder, decoder, **ids, decoder_start_token_id=end
    )
    torch.manual_seed(1)
    model = VisionEncoderDecoderModel(config).eval()
    liven(model)
    model.save_pretrained(directory)
    _age_config(directory / "config.json")
    (directory / "generation_config.json").unlink()
    if pickled:
        _as_transformers_4(directory)
    preprocessor = {
        "do_normalize": True,
        "do_resize": True,
        "feature_extractor_type": "ViTFeatureExtractor",
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "resample": 2,
        "size": encoder.image_size,
    }
    (directory / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    (directory / "README.md").write_text(CARD, encoding="utf-8")
    return directory


def liven(model: VisionEncoderDecoderModel) -> None:
    """Give the weights opinions: captions depend on the picture, and some end early."""
    generator = torch.Generator().manual_seed(3)
    width = model.config.decoder.n_embd
    # The spreads are for width 32; sums over more terms want smaller ones.
    spreads = {"wpe": 1.0, "crossattention": 0.4, "": 0.2}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim < 2:
                continue
            spread = next(value for part, value in spreads.items() if part in name)
            scale = 1.0 if part_of_embedding(name) else (32 / width) ** 0.5
            parameter.normal_(0, spread * scale, generator=generator)
        model.decoder.transformer.wte.weight[-1] *= 2.5


def part_of_embedding(name: str) -> bool:
    """Whether a weight is added as it is, not summed over the width."""
    return "wpe" in name or "cls_token" in name or "position_embeddings" in name


def random_pictures(count: int, side: int = 64, seed: int = 0) -> np.ndarray:
    """Return `uint8 [count, 3, side, side]`: coloured squares, which differ more than noise."""
    squares = np.random.default_rng(seed).integers(0, 256, (count, 3, 4, 4), dtype=np.uint8)
    return squares.repeat(side // 4, axis=2).repeat(side // 4, axis=3)


def _age_config(path: Path) -> None:
    """Add what configurations of transformers 4 carry, to be ignored or understood."""
    content = json.loads(path.read_text())
    for part in ("encoder", "decoder"):
        content[part].update(
            max_length=20, num_beams=1, do_sample=False, torch_dtype=None, use_bfloat16=False
        )
    content["decoder"]["task_specific_params"] = {
        "text-generation": {"do_sample": True, "max_length": 50}
    }
    content.update(torch_dtype="float32", transformers_version=None)
    content.pop("dtype", None)
    path.write_text(json.dumps(content))


def _as_transformers_4(directory: Path) -> None:
    """Turn `model.safetensors` into the `pytorch_model.bin` that transformers 4 would have made."""
    from safetensors.torch import load_file

    path = directory / "model.safetensors"
    tensors = load_file(path)
    path.unlink()
    positions = tensors["decoder.transformer.wpe.weight"].shape[0]
    causal = torch.ones(positions, positions, dtype=torch.bool).tril()[None, None]
    for name in [name for name in tensors if name.endswith("attn.c_attn.weight")]:
        layer = name.removesuffix("attn.c_attn.weight")
        for attention in ("attn", "crossattention"):
            tensors[f"{layer}{attention}.bias"] = causal
            tensors[f"{layer}{attention}.masked_bias"] = torch.tensor(-1e4)
    tensors["decoder.lm_head.weight"] = tensors["decoder.transformer.wte.weight"]
    torch.save(tensors, directory / "pytorch_model.bin")
