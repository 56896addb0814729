"""What the tiny networks share: words, tokenizers, weights worth looking at, saving."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import (
    BertTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

Maker = Callable[[Path], None]
"""Writes a tiny hub model into a folder."""

Reference = Callable[..., torch.Tensor]
"""Family, pictures, prompt and options of `generate()` to the tokens it writes, int64 `[B, T]`,
by transformers' own processor."""

CLIP = {
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "resample": 3,
}
WORDS = (
    "a an the dog cat man woman child bird runs sits stands jumps on in under near green red blue "
    "grass ball hat tree street water picture of image photo with and two three what is there ? "
    ": . ,"
).split()
PIECES = [f"##{piece}" for piece in ("s", "ing", "ed", "er", "y")]


def spread(network: PreTrainedModel, factor: float = 4.0, seed: int = 0) -> None:
    """Redraw all weights, so that captions vary with the picture and are not all alike."""
    generator = torch.Generator().manual_seed(seed)
    for name, weights in network.named_parameters():
        if weights.ndim > 1:
            width = weights[0].numel() if "embed" not in name else weights.shape[-1]
            scale = factor / width**0.5 if "embed" not in name else 1.0
            weights.data = torch.randn(weights.shape, generator=generator) * scale
        elif "bias" in name or "norm" not in name.lower():
            weights.data = torch.randn(weights.shape, generator=generator) * 0.3
    network.tie_weights()


def save(
    network: PreTrainedModel,
    directory: Path,
    preprocessor: dict[str, Any],
    tokenizer: PreTrainedTokenizerBase,
    factor: float = 4.0,
    scaled: Mapping[str, float] = MappingProxyType({}),
) -> None:
    """Write a network with spread weights, its tokenizer and its preprocessor's settings.

    Args:
        network, directory, preprocessor, tokenizer: what is written where.
        factor: of the weights, see `spread`.
        scaled: parts of the names of weights, and what these are multiplied by.
    """
    with torch.no_grad():
        spread(network, factor)
        for name, weights in network.named_parameters():
            for part, times in scaled.items():
                if part in name:
                    weights.mul_(times)
    tokenizer.save_pretrained(directory)
    network.save_pretrained(directory)
    path = directory / "preprocessor_config.json"
    path.write_text(json.dumps(preprocessor), encoding="utf-8")


def bert_tokenizer(extra: tuple[str, ...] = ()) -> BertTokenizer:
    """Return a word-piece tokenizer: markers first, as in BERT, then words."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *PIECES]
    tokenizer = BertTokenizer({word: index for index, word in enumerate(words)})
    if extra:
        tokenizer.add_special_tokens({"additional_special_tokens": list(extra)})
    return tokenizer


def byte_tokenizer(markers: Sequence[str], **special: str) -> PreTrainedTokenizerFast:
    """Return a byte-level tokenizer that knows some words whole, as BART's and Llama 3's are."""
    # Without the bytes that are no ASCII characters: captions stay legible.
    alphabet = [chr(code) for code in range(33, 127)] + ["Ġ", "Ċ"]
    merges: list[tuple[str, str]] = []
    for word in WORDS:
        built = "Ġ"
        for letter in word:
            if (built, letter) not in merges:
                merges.append((built, letter))
            built += letter
    vocabulary = dict.fromkeys([*alphabet, *("".join(pair) for pair in merges)])
    tokens = [*markers, *vocabulary]
    tokenizer = Tokenizer(BPE({token: i for i, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, additional_special_tokens=list(markers), **special
    )
