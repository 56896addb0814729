"""A network's graphs, written into its model directory and checked against it."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from models.api.device import BackendError, Precision
from models.layers.network_protocol import CaptionNetwork
from models.runtimes.openvino.decoder import OpenVinoDecoder
from models.runtimes.openvino.files import GraphsInfo
from models.runtimes.openvino.graphs import write_graphs
from models.runtimes.openvino.parts import Parts

logger = logging.getLogger(__name__)

_CHECKED, _ROWS, _TOKENS = 4, 3, 24
"""Pictures, rows of each and tokens of each row that graphs must score as the network does."""


def export(
    network: CaptionNetwork,
    parts: Parts,
    directory: Path,
    weights: tuple[Precision, ...],
    pictures: NDArray[np.uint8],
) -> None:
    """Write a network's graphs into its model directory and check them.

    Args:
        network: float32, in evaluation mode.
        parts: the same as modules.
        directory: the model's.
        weights: number formats to write.
        pictures: `uint8 [P, 3, H, W]`, P >= 1: those that the ranges of int8 activations are taken
            from.

    Raises:
        BackendError: what makes graphs is not installed, or they do not compute what the network
            does.
    """
    write_graphs(parts, directory, weights, pictures)
    check(network, parts.sizes.vocab_size, directory, pictures[:_CHECKED])


@torch.inference_mode()
def check(
    network: CaptionNetwork, vocab_size: int, directory: Path, pictures: NDArray[np.uint8]
) -> None:
    """Compare the scores of some words with the network's.

    Args:
        network, directory: as for `export`.
        vocab_size: the network's.
        pictures: to compare on.

    Raises:
        BackendError: float32 differs by more than rounding.
    """
    generator = torch.Generator().manual_seed(0)
    shape = (_ROWS * len(pictures), min(_TOKENS, network.max_tokens))
    tokens = torch.randint(vocab_size, shape, generator=generator)
    memory = network.encode(torch.from_numpy(pictures))
    expected = network.decode(tokens, memory).log_softmax(-1).numpy()
    counted = np.isfinite(expected)
    for precision in GraphsInfo.read(directory).precisions:
        graphs = OpenVinoDecoder(directory, precision)
        found = graphs.follow(tokens.numpy(), graphs.encode(pictures))[0]
        off = float(np.abs(found[counted] - expected[counted]).mean())
        agreed = float((found.argmax(-1) == expected.argmax(-1)).mean())
        logger.info(
            "%s: log-probabilities off by %.4f in the mean, best word the same in %.0f %%",
            precision,
            off,
            100 * agreed,
        )
        if precision == "fp32" and not off < 1e-2:
            raise BackendError(f"the graphs do not compute what the model does: off by {off:.3f}")
