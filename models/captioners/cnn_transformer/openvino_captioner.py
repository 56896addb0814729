"""The captioners built on `CnnTransformer`, on OpenVINO."""

from __future__ import annotations

from pathlib import Path

from models.captioners.cnn_transformer.tokenizer import CaptionTokenizer
from models.captioners.on_openvino import OpenVinoCaptioner


class CnnTransformerOpenVinoCaptioner(OpenVinoCaptioner):
    """Graphs of a `CnnTransformer`; see `OpenVinoCaptioner`."""

    @classmethod
    def load_tokenizer(cls, directory: Path) -> CaptionTokenizer:
        """Read the vocabulary of words."""
        return CaptionTokenizer.load(directory)


class CompactOpenVinoCaptioner(CnnTransformerOpenVinoCaptioner):
    """`compact`, the embedded default."""

    method = "compact"


class TfTutorialOpenVinoCaptioner(CnnTransformerOpenVinoCaptioner):
    """`tf-tutorial`."""

    method = "tf-tutorial"


class KerasExampleOpenVinoCaptioner(CnnTransformerOpenVinoCaptioner):
    """`keras-example`."""

    method = "keras-example"
