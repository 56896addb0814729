"""The captioner around a network of torch, which may be trained."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Self

from models.api.metadata import ModelMetadata
from models.captioners.base import CaptionVocabulary, NetworkCaptioner
from models.layers.network_protocol import CaptionNetwork
from models.runtimes.openvino.parts import Parts
from models.runtimes.torch.search import TorchDecoder


class TorchCaptioner(NetworkCaptioner):
    """A network of torch with its tokenizer and settings.

    Args:
        network: in evaluation mode.
        tokenizer, metadata: as for `NetworkCaptioner`.

    Raises:
        BrokenModelError: the vocabulary is not the one the metadata names.
    """

    @classmethod
    @abstractmethod
    def load_trainable(cls, directory: Path) -> Self:
        """Load a model directory to train its network, a `TrainableNetwork`, in float32.

        `load` may give a network that only captions.

        Raises:
            BrokenModelError: as `load`.
        """

    @abstractmethod
    def parts(self) -> Parts:
        """Return the network, float32 and as it was loaded to be trained, as graphs are made of."""

    def __init__(
        self, network: CaptionNetwork, tokenizer: CaptionVocabulary, metadata: ModelMetadata
    ) -> None:
        super().__init__(TorchDecoder(network), tokenizer, metadata)
        self.network = network
