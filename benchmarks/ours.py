"""Captionbox's `vit-gpt2` as a stack: encoder, decoder and search, as the engine runs them.

python -m benchmarks.ours MODEL_DIRECTORY fp32|bf16|int8 --tokens 16 [--backend openvino]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import cast, get_args

import numpy as np
from numpy.typing import NDArray

from benchmarks.tools.stack import answer
from models.api.device import Backend, Precision
from models.captioners.base import NetworkCaptioner
from models.decoding.beam import beam_search
from models.decoding.protocol import SearchSettings
from models.registry import load_captioner

NEVER = -1
"""An end token that no network produces: every caption has its full length."""


def main() -> None:
    """Run the stack."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ours")
    parser.add_argument("directory", type=Path)
    parser.add_argument("precision", choices=get_args(Precision))
    parser.add_argument("--backend", choices=get_args(Backend), default="torch")
    parser.add_argument("--tokens", type=int, required=True)
    options = parser.parse_args()
    captioner = load_captioner(options.directory, options.precision, options.backend)
    decoder = cast(NetworkCaptioner, captioner).decoder

    def caption(pixels: NDArray[np.uint8], beams: int) -> list[tuple[int, ...]]:
        state = decoder.start(decoder.encode(pixels), options.tokens)
        settings = SearchSettings(decoder.bos_id, NEVER, options.tokens, num_beams=beams)
        found = beam_search(decoder.step, state, len(pixels), settings)
        return [hypotheses[0].tokens for hypotheses in found]

    answer(caption)


if __name__ == "__main__":
    main()
