"""`vit-gpt2`: load a directory, caption a batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

import torch

from models.api import metadata as metadata_module
from models.api.device import CPU, Device, Precision
from models.api.metadata import BrokenModelError, ModelMetadata
from models.captioners.on_torch import TorchCaptioner
from models.captioners.vit_gpt2.graphs import parts
from models.captioners.vit_gpt2.network import VitGpt2
from models.captioners.vit_gpt2.tokenizer import SubwordTokenizer
from models.runtimes.openvino.parts import Parts
from models.runtimes.processor import is_narrow
from models.runtimes.torch.packed_transformers import pack_gpt2, pack_vit
from models.runtimes.torch.packing import pack_network


class VitGpt2Captioner(TorchCaptioner):
    """A `VitGpt2` with its tokenizer and settings; see `TorchCaptioner`.

    Raises:
        BrokenModelError: vocabulary and network do not fit together.
    """

    method = "vit-gpt2"
    precisions: ClassVar[tuple[Precision, ...]] = ("fp32", "bf16", "int8")
    network: VitGpt2
    tokenizer: SubwordTokenizer

    def __init__(
        self, network: VitGpt2, tokenizer: SubwordTokenizer, metadata: ModelMetadata
    ) -> None:
        if len(tokenizer) > network.vocab_size:
            raise BrokenModelError(
                f"the vocabulary has {len(tokenizer)} tokens, the network {network.vocab_size}"
            )
        network.preprocess = metadata.preprocess
        super().__init__(network.eval(), tokenizer, metadata)

    @classmethod
    def load(cls, directory: Path, precision: Precision = "fp32", device: Device = CPU) -> Self:
        """Load a model directory; see `Captioner.load`."""
        captioner = cls.load_trainable(directory)
        network: Any = captioner.network
        network.to(device.name)
        pack_vit(captioner.network.encoder, precision)
        pack_gpt2(captioner.network.decoder, precision)
        pack_network(captioner.network, precision, vocabulary="decoder.lm_head")
        captioner.network.text.narrow = is_narrow(precision)
        return captioner

    def parts(self) -> Parts:
        """Return what graphs are made of; see `TorchCaptioner.parts`."""
        return parts(self.network)

    @classmethod
    def load_trainable(cls, directory: Path) -> Self:
        """Load a model directory; see `TorchCaptioner.load_trainable`."""
        metadata = metadata_module.read(directory)
        try:
            network = VitGpt2.from_pretrained(directory, dtype=torch.float32, local_files_only=True)
            tokenizer = SubwordTokenizer.load(directory)
        except Exception as error:  # safetensors, transformers and torch raise many kinds
            raise BrokenModelError(f"the model's files cannot be read: {error}") from error
        return cls(network, tokenizer, metadata)
