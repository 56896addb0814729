"""`keras-example`: the network of Keras' "Image captioning" example.

Frozen EfficientNetB0 features of a 299 px picture (10 x 10 x 1280), one encoder block with one
head, one decoder block with two heads, 512 wide. The example's known faults (five optimiser steps a
batch, an end token that never matches) are not reproduced.
"""

from __future__ import annotations

from models.api.options import DecodeDefaults
from models.captioners.cnn_transformer.config import CnnTransformerConfig

DEFAULTS = DecodeDefaults(num_beams=1, max_length=25)

MAX_VOCABULARY = 10_000

# EfficientNet's ImageNet statistics.
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)


def config(vocab_size: int) -> CnnTransformerConfig:
    """Return the network's configuration."""
    return CnnTransformerConfig(
        backbone="efficientnet_b0",
        image_height=299,
        image_width=299,
        image_mean=_MEAN,
        image_std=_STD,
        vocab_size=vocab_size,
        d_model=512,
        encoder_layers=1,
        encoder_heads=1,
        decoder_layers=1,
        decoder_heads=2,
        head_dim=512,
        ffn_dim=512,
        dropout=0.3,
        attention_dropout=0.1,
        output_dropout=0.5,
        pre_norm=False,
        project_memory=True,
        memory_activation="relu",
        scale_embeddings=True,
        tie_embeddings=False,
        freeze_backbone=True,
    )
