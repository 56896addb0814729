"""The networks of the CNN + transformer methods, and how their captions are decoded by default.

A preset names what it chooses itself; the rest is `CnnTransformerConfig`'s default, picture size
and normalisation its backbone's. No torch and no transformers: an engine reads this at its start.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models.api.options import DecodeDefaults


@dataclass(frozen=True)
class Preset:
    """What a method's network is like before it has learnt anything.

    Attributes:
        network: arguments of `CnnTransformerConfig`, all but `vocab_size`.
        decode: the decode defaults that its models begin with.
    """

    network: Mapping[str, Any]
    decode: DecodeDefaults

    def settings(self, overrides: Mapping[str, Any]) -> dict[str, Any]:
        """Return the network's arguments with some of them overridden.

        Another backbone comes with pictures of its own: the preset's picture size and
        normalisation are meant for the preset's.
        """
        own = dict(self.network)
        if overrides.get("backbone", own["backbone"]) != own["backbone"]:
            own = {name: value for name, value in own.items() if not name.startswith("image_")}
        return {**own, **overrides}


COMPACT = Preset(
    {
        "backbone": "efficientnet_lite2",
        "d_model": 384,
        "encoder_layers": 1,
        "encoder_heads": 6,
        "decoder_layers": 3,
        "decoder_heads": 6,
        "ffn_dim": 768,
        "dropout": 0.25,
        "attention_dropout": 0.1,
        "output_dropout": 0.1,
        "pre_norm": True,
        "tie_embeddings": True,
    },
    DecodeDefaults(num_beams=3, max_length=24, length_penalty=1.0),
)
"""The embedded default: 13 M parameters at a vocabulary of 3,600."""

TF_TUTORIAL = Preset(
    {
        "backbone": "mobilenet_edgetpu",
        "d_model": 256,
        "encoder_layers": 0,
        "decoder_layers": 2,
        "decoder_heads": 2,
        "head_dim": 256,
        "ffn_dim": 512,
        "dropout": 0.5,
        "attention_dropout": 0.0,
        "pre_norm": False,
        "project_memory": False,
        "tie_embeddings": False,
        "freeze_backbone": True,
    },
    DecodeDefaults(num_beams=1, max_length=50),
)
"""TensorFlow's "Image captioning with visual attention" tutorial.

Frozen 7 x 7 CNN features, two post-norm decoder layers of 256 units with two heads of 256, dropout
0.5, an output bias that starts at the words' log frequencies. The tutorial's trunk is
MobileNetV3-Large; ours is the trunk that is at hand, MobileNetEdgeTPU (the same 7 x 7 grid).
"""

KERAS_EXAMPLE = Preset(
    {
        "backbone": "efficientnet_b0",
        "image_height": 299,
        "image_width": 299,
        "d_model": 512,
        "encoder_layers": 1,
        "encoder_heads": 1,
        "decoder_layers": 1,
        "decoder_heads": 2,
        "head_dim": 512,
        "ffn_dim": 512,
        "dropout": 0.3,
        "attention_dropout": 0.1,
        "output_dropout": 0.5,
        "pre_norm": False,
        "project_memory": True,
        "memory_activation": "relu",
        "scale_embeddings": True,
        "tie_embeddings": False,
        "freeze_backbone": True,
    },
    DecodeDefaults(num_beams=1, max_length=25),
)
"""Keras' "Image captioning" example.

Frozen EfficientNetB0 features of a 299 px picture (10 x 10 x 1280), one encoder block with one
head, one decoder block with two heads, 512 wide. The example's known faults (five optimiser steps a
batch, an end token that never matches) are not reproduced.
"""
