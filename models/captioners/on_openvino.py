"""The captioner around a network's graphs for OpenVINO, whatever its method. No torch."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import ClassVar, Self

from models.api import metadata as metadata_module
from models.api.device import CPU, BackendError, Device, Precision
from models.api.metadata import BrokenModelError
from models.captioners.base import CaptionVocabulary, NetworkCaptioner
from models.runtimes.openvino.decoder import OpenVinoDecoder
from models.runtimes.openvino.files import GraphsInfo, has_graphs
from models.runtimes.processor import has_vnni, processor_name

_EXPORT = "`python -m models export-openvino NAME` makes them"


class OpenVinoCaptioner(NetworkCaptioner):
    """The graphs of a model with its tokenizer and settings; see `NetworkCaptioner`.

    The weights are read from the graphs' files, which are mapped into memory.
    """

    precisions: ClassVar[tuple[Precision, ...]] = ("fp32", "bf16", "int8")
    decoder: OpenVinoDecoder

    @classmethod
    @abstractmethod
    def load_tokenizer(cls, directory: Path) -> CaptionVocabulary:
        """Read the method's vocabulary of a model directory; raises what its library does."""

    @classmethod
    def load(cls, directory: Path, precision: Precision = "fp32", device: Device = CPU) -> Self:
        """Load a model directory; see `Captioner.load`.

        Raises:
            BackendError: there are no graphs, none in this precision, or no OpenVINO; or `device`
                is not the processor.
        """
        if not device.is_cpu:
            raise BackendError(f"OpenVINO computes on the processor here, not on {device.name}")
        metadata = metadata_module.read(directory)
        if not has_graphs(directory):
            raise BackendError(f"it has no graphs for OpenVINO; {_EXPORT}")
        info = GraphsInfo.read(directory)
        found = info.precisions
        if precision not in found:
            raise BackendError(
                f"its graphs for OpenVINO compute in {' or '.join(found)}, not in {precision}; "
                f"{_EXPORT} anew"
            )
        if precision == "int8" and not info.seven_bits and not has_vnni():
            raise BackendError(
                f"its int8 graphs are of an older version, and wrong on this processor "
                f"({processor_name()}); {_EXPORT} anew"
            )
        try:
            tokenizer = cls.load_tokenizer(directory)
        except Exception as error:  # the tokenizers library raises plain exceptions
            raise BrokenModelError(f"the model's files cannot be read: {error}") from error
        decoder = OpenVinoDecoder(directory, precision)
        if len(tokenizer) > decoder.vocab_size:
            raise BrokenModelError(
                f"the vocabulary has {len(tokenizer)} tokens, the network {decoder.vocab_size}"
            )
        return cls(decoder, tokenizer, metadata)
