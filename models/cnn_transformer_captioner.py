"""The captioners built on `CnnTransformer`: load a directory, caption a batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import torch

from models import metadata as metadata_module
from models.cnn_transformer import CnnTransformer
from models.metadata import BrokenModelError, ModelMetadata
from models.network_captioner import NetworkCaptioner
from models.tokenizer import CaptionTokenizer


class CnnTransformerCaptioner(NetworkCaptioner):
    """A `CnnTransformer` with its tokenizer and settings; see `NetworkCaptioner`.

    Raises:
        BrokenModelError: vocabulary and network do not fit together.
    """

    network: CnnTransformer
    tokenizer: CaptionTokenizer

    def __init__(
        self, network: CnnTransformer, tokenizer: CaptionTokenizer, metadata: ModelMetadata
    ) -> None:
        if len(tokenizer) != network.config.vocab_size:
            raise BrokenModelError(
                f"the vocabulary has {len(tokenizer)} tokens, the network "
                f"{network.config.vocab_size}"
            )
        super().__init__(network.eval(), tokenizer, metadata)

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Load a model directory; see `Captioner.load`. Weights are read as float32."""
        metadata = metadata_module.read(directory)
        try:
            network = CnnTransformer.from_pretrained(
                directory, dtype=torch.float32, local_files_only=True
            )
            tokenizer = CaptionTokenizer.load(directory)
        except Exception as error:  # safetensors, transformers and torch raise many kinds
            raise BrokenModelError(f"the model's files cannot be read: {error}") from error
        trunk: Any = network.trunk
        trunk.to(memory_format=torch.channels_last)
        return cls(network, tokenizer, metadata)


class CompactCaptioner(CnnTransformerCaptioner):
    """`compact`, the embedded default."""

    method = "compact"


class TfTutorialCaptioner(CnnTransformerCaptioner):
    """`tf-tutorial`."""

    method = "tf-tutorial"


class KerasExampleCaptioner(CnnTransformerCaptioner):
    """`keras-example`."""

    method = "keras-example"
