"""The captioners built on `CnnTransformer`: load a directory, caption a batch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

import torch

from models.api import metadata as metadata_module
from models.api.device import CPU, Device, Precision
from models.api.metadata import BrokenModelError, ModelMetadata
from models.captioners.cnn_transformer.inference import InferenceNetwork
from models.captioners.cnn_transformer.presets import COMPACT, KERAS_EXAMPLE, TF_TUTORIAL, Preset
from models.captioners.cnn_transformer.tokenizer import CaptionTokenizer
from models.captioners.on_torch import TorchCaptioner
from models.runtimes.openvino.parts import Parts

if TYPE_CHECKING:
    from models.captioners.cnn_transformer.network import CnnTransformer


class CnnTransformerCaptioner(TorchCaptioner):
    """An `InferenceNetwork` with its tokenizer and settings; see `TorchCaptioner`.

    In training it is made around the `CnnTransformer` itself, in evaluation mode.

    Raises:
        BrokenModelError: vocabulary and network do not fit together.
    """

    precisions: ClassVar[tuple[Precision, ...]] = ("fp32", "bf16", "int8")
    preset: ClassVar[Preset]
    """What a network of the method is like that is trained from nothing."""

    network: InferenceNetwork | CnnTransformer
    tokenizer: CaptionTokenizer

    def __init__(
        self,
        network: InferenceNetwork | CnnTransformer,
        tokenizer: CaptionTokenizer,
        metadata: ModelMetadata,
    ) -> None:
        if len(tokenizer) != network.vocab_size:
            raise BrokenModelError(
                f"the vocabulary has {len(tokenizer)} tokens, the network {network.vocab_size}"
            )
        super().__init__(network, tokenizer, metadata)

    @classmethod
    def load(cls, directory: Path, precision: Precision = "fp32", device: Device = CPU) -> Self:
        """Load a model directory; see `Captioner.load`."""
        metadata = metadata_module.read(directory)
        try:
            network = InferenceNetwork.load(directory, precision, device)
            tokenizer = CaptionTokenizer.load(directory)
        except Exception as error:  # safetensors, tokenizers and torch raise many kinds
            raise BrokenModelError(f"the model's files cannot be read: {error}") from error
        return cls(network, tokenizer, metadata)

    def parts(self) -> Parts:
        """Return what graphs are made of; see `TorchCaptioner.parts`."""
        from models.captioners.cnn_transformer.graphs import parts

        return parts(cast("CnnTransformer", self.network))

    @classmethod
    def load_trainable(cls, directory: Path) -> Self:
        """Load a model directory; see `TorchCaptioner.load_trainable`."""
        from models.captioners.cnn_transformer.network import CnnTransformer

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
        return cls(network.eval(), tokenizer, metadata)


class CompactCaptioner(CnnTransformerCaptioner):
    """`compact`, the embedded default."""

    method = "compact"
    preset = COMPACT


class TfTutorialCaptioner(CnnTransformerCaptioner):
    """`tf-tutorial`."""

    method = "tf-tutorial"
    preset = TF_TUTORIAL


class KerasExampleCaptioner(CnnTransformerCaptioner):
    """`keras-example`."""

    method = "keras-example"
    preset = KERAS_EXAMPLE
