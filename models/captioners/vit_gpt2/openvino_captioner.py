"""`vit-gpt2` on OpenVINO."""

from __future__ import annotations

from pathlib import Path

from models.captioners.on_openvino import OpenVinoCaptioner
from models.captioners.vit_gpt2.tokenizer import SubwordTokenizer


class VitGpt2OpenVinoCaptioner(OpenVinoCaptioner):
    """`vit-gpt2`; see `OpenVinoCaptioner`."""

    method = "vit-gpt2"

    @classmethod
    def load_tokenizer(cls, directory: Path) -> SubwordTokenizer:
        """Read GPT-2's vocabulary."""
        return SubwordTokenizer.load(directory)
