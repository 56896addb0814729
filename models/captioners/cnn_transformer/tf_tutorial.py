"""`tf-tutorial`: the network of TensorFlow's "Image captioning with visual attention" tutorial.

Frozen 7 x 7 CNN features, two post-norm decoder layers of 256 units with two heads of 256, dropout
0.5, an output bias that starts at the words' log frequencies. The tutorial's trunk is
MobileNetV3-Large; ours is the trunk that is at hand, MobileNetEdgeTPU (the same 7 x 7 grid).
"""

from __future__ import annotations

from models.api.options import DecodeDefaults
from models.captioners.cnn_transformer.config import CnnTransformerConfig

DEFAULTS = DecodeDefaults(num_beams=1, max_length=50)

MAX_VOCABULARY = 5_000


def config(vocab_size: int) -> CnnTransformerConfig:
    """Return the network's configuration."""
    return CnnTransformerConfig(
        backbone="mobilenet_edgetpu",
        vocab_size=vocab_size,
        d_model=256,
        encoder_layers=0,
        decoder_layers=2,
        decoder_heads=2,
        head_dim=256,
        ffn_dim=512,
        dropout=0.5,
        attention_dropout=0.0,
        pre_norm=False,
        project_memory=False,
        tie_embeddings=False,
        freeze_backbone=True,
    )
