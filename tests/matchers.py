"""BridgeTowers for tests: true architecture, random weights, small or at true size."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

SIDE = 64
"""Input size of the tiny one, in pixels."""

TINY: dict[str, Any] = {
    "hidden_size": 64,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "text_config": {
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_attention_heads": 2,
        "num_hidden_layers": 3,
        "vocab_size": 261,
        "max_position_embeddings": 66,
    },
    "vision_config": {"hidden_size": 64, "num_hidden_layers": 3, "image_size": SIDE},
}
"""Configuration of the tiny one."""

LONGEST = 62
"""Longest text that the tiny one reads, in tokens, which are bytes."""


def make_hub_bridgetower(directory: Path, shape: dict[str, Any] | None = None) -> None:
    """Save a random BridgeTower as the hub has it: weights, tokenizer, processor.

    Args:
        directory: made if it is not there.
        shape: its configuration; `TINY` by default. `{}` is BridgeTower-base.
    """
    import torch
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import (
        BridgeTowerConfig,
        BridgeTowerForImageAndTextRetrieval,
        RobertaTokenizer,
    )

    torch.manual_seed(3)
    config = BridgeTowerConfig(**(TINY if shape is None else shape))
    network = BridgeTowerForImageAndTextRetrieval(config).eval()
    with torch.no_grad():
        for name, weights in network.named_parameters():
            if name.endswith("bias"):
                weights.normal_(std=0.05)
        _tell_apart(network)
    network.save_pretrained(directory)
    specials = ["<s>", "<pad>", "</s>", "<unk>"]
    words = [*specials, *sorted(ByteLevel.alphabet()), "<mask>"]
    vocabulary = {word: number for number, word in enumerate(words)}
    longest = config.text_config.max_position_embeddings - 2
    RobertaTokenizer(vocab=vocabulary, merges=[], model_max_length=longest).save_pretrained(
        directory
    )
    side = config.vision_config.image_size
    processor = {
        "image_processor_type": "BridgeTowerImageProcessor",
        "processor_class": "BridgeTowerProcessor",
        "do_center_crop": True,
        "do_normalize": True,
        "do_pad": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
        "resample": 3,
        "rescale_factor": 1 / 255,
        "size": {"shortest_edge": side},
        "crop_size": {"shortest_edge": side},
        "size_divisor": 32,
    }
    (directory / "preprocessor_config.json").write_text(json.dumps(processor))


def _tell_apart(network: Any) -> None:
    """Spread the scores of fresh weights, which find everything alike, around a half."""
    import torch

    side = network.config.vision_config.image_size
    head = network.itm_score.fc
    ids = torch.randint(4, network.config.text_config.vocab_size, (4, 8))
    seen = {"input_ids": ids, "pixel_values": torch.randn(4, 3, side, side)}
    logits = network(**seen).logits  # [4, 2]
    head.weight.div_((logits[:, 1] - logits[:, 0]).std())
    head.bias.sub_(network(**seen).logits.mean(0))


def make_tiny_matcher(directory: Path, shape: dict[str, Any] | None = None) -> None:
    """Save a random BridgeTower as a model directory of ours; see `make_hub_bridgetower`."""
    from models.api import metadata
    from models.matchers.bridgetower.convert import convert

    with tempfile.TemporaryDirectory() as hub:
        make_hub_bridgetower(Path(hub), shape)
        directory.mkdir(parents=True, exist_ok=True)
        metadata.write(directory, convert(Path(hub), directory))
