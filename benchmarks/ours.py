"""Captionbox's `vit-gpt2` as a stack: encoder, decoder and search, as the engine runs them.

python -m benchmarks.ours MODEL_DIRECTORY fp32|bf16|int8 --tokens 16
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.stack import answer
from models.decoding import SearchSettings, beam_search
from models.vit_gpt2_captioner import VitGpt2Captioner

NEVER = -1
"""An end token that no network produces: every caption has its full length."""


def main() -> None:
    """Run the stack."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ours")
    parser.add_argument("directory", type=Path)
    parser.add_argument("precision", choices=VitGpt2Captioner.precisions)
    parser.add_argument("--tokens", type=int, required=True)
    options = parser.parse_args()
    network = VitGpt2Captioner.load(options.directory, options.precision).network

    def caption(pixels: NDArray[np.uint8], beams: int) -> list[tuple[int, ...]]:
        with torch.inference_mode():
            memory = network.encode(torch.from_numpy(pixels))
            state = network.start(memory, options.tokens)
            settings = SearchSettings(network.bos_id, NEVER, options.tokens, num_beams=beams)
            found = beam_search(network.step, state, len(pixels), settings, memory.device)
        return [hypotheses[0].tokens for hypotheses in found]

    answer(caption)


if __name__ == "__main__":
    main()
