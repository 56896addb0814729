"""Tiny networks and vocabularies for the unit tests of `models`."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from models.api import metadata as metadata_module
from models.api.metadata import ModelMetadata
from models.api.options import DecodeDefaults
from models.api.preprocessing import PreprocessSpec
from models.captioners.cnn_transformer.config import CnnTransformerConfig
from models.captioners.cnn_transformer.network import CnnTransformer
from models.captioners.cnn_transformer.tokenizer import CaptionTokenizer

WORDS = "a dog cat runs sits on the green grass red ball with man's hat".split()
SIDE = 64


@pytest.fixture
def tokenizer() -> CaptionTokenizer:
    return CaptionTokenizer.train([" ".join(WORDS)])


def _config(style: str, vocab_size: int) -> CnnTransformerConfig:
    shared = {
        "backbone": "tiny",
        "image_height": SIDE,
        "image_width": SIDE,
        "vocab_size": vocab_size,
        "max_positions": 20,
    }
    if style == "compact":
        return CnnTransformerConfig(
            **shared,
            d_model=32,
            encoder_layers=1,
            encoder_heads=2,
            decoder_layers=2,
            decoder_heads=2,
            ffn_dim=48,
        )
    if style == "tf-tutorial":
        return CnnTransformerConfig(
            **shared,
            d_model=24,
            encoder_layers=0,
            decoder_layers=2,
            decoder_heads=2,
            head_dim=24,
            ffn_dim=48,
            pre_norm=False,
            project_memory=False,
            tie_embeddings=False,
            freeze_backbone=True,
        )
    return CnnTransformerConfig(
        **shared,
        d_model=24,
        encoder_layers=1,
        encoder_heads=1,
        decoder_layers=1,
        decoder_heads=2,
        head_dim=24,
        ffn_dim=24,
        pre_norm=False,
        memory_activation="relu",
        scale_embeddings=True,
        tie_embeddings=False,
        freeze_backbone=True,
    )


@pytest.fixture(params=["compact", "tf-tutorial", "keras-example"])
def style(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def make_network(tokenizer: CaptionTokenizer) -> Callable[[str], CnnTransformer]:
    """Return a maker of tiny networks whose captions depend on the picture."""

    def make(style: str) -> CnnTransformer:
        torch.manual_seed(7)
        network = CnnTransformer(_config(style, len(tokenizer))).eval()
        with torch.no_grad():
            # Fresh weights answer everything alike: spread the logits and stress the picture.
            for parameter in network.parameters():
                parameter.mul_(1.5)
            network.output_bias.uniform_(-1, 1)
        return network

    return make


@pytest.fixture
def metadata(tokenizer: CaptionTokenizer) -> ModelMetadata:
    return ModelMetadata(
        method="compact",
        preprocess=PreprocessSpec(height=SIDE, width=SIDE),
        decode=DecodeDefaults(num_beams=3, max_length=12),
        vocabulary_sha256=tokenizer.vocabulary_hash(),
    )


@pytest.fixture
def directory(
    make_network: Callable[[str], CnnTransformer],
    tokenizer: CaptionTokenizer,
    metadata: ModelMetadata,
    tmp_path: Path,
) -> Path:
    """Return the model directory of a tiny `compact`."""
    make_network("compact").save_pretrained(tmp_path)
    tokenizer.save(tmp_path)
    metadata_module.write(tmp_path, metadata)
    return tmp_path
