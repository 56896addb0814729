"""`compact`: the embedded default. MobileNetEdgeTPU trunk and a small transformer decoder."""

from __future__ import annotations

from models.api.options import DecodeDefaults
from models.captioners.cnn_transformer.config import CnnTransformerConfig

DEFAULTS = DecodeDefaults(num_beams=3, max_length=24, length_penalty=1.0)


def config(vocab_size: int) -> CnnTransformerConfig:
    """Return the network's configuration: 11 M parameters at a vocabulary of 3,500."""
    return CnnTransformerConfig(
        backbone="mobilenet_edgetpu",
        vocab_size=vocab_size,
        d_model=384,
        encoder_layers=1,
        encoder_heads=6,
        decoder_layers=3,
        decoder_heads=6,
        ffn_dim=768,
        dropout=0.25,
        attention_dropout=0.1,
        output_dropout=0.1,
        pre_norm=True,
        tie_embeddings=True,
    )
