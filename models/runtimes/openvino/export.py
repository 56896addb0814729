"""Give a model in the store graphs for OpenVINO: a new version of it, with the same weights."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from models import store
from models.api import metadata as metadata_module
from models.api.backend import BackendError
from models.api.precision import Precision
from models.captioners.vit_gpt2.captioner import VitGpt2Captioner
from models.captioners.vit_gpt2.network import VitGpt2
from models.registry import find_method
from models.runtimes.openvino.calibration import draw_pictures, read_pictures
from models.runtimes.openvino.files import FOLDER, GraphsInfo
from models.runtimes.openvino.graphs import write_graphs
from models.runtimes.openvino.network import OpenVinoNetwork
from models.store import StoredModel, content_version

logger = logging.getLogger(__name__)

WEIGHTS: tuple[Precision, ...] = ("fp32", "int8")
"""Number formats that weights can be written in; bfloat16 is computed with those of float32."""

_CHECKED, _ROWS, _TOKENS = 4, 3, 24
"""Pictures, rows of each and tokens of each row that graphs must score as the network does."""


def export_model(
    tag: str, weights: tuple[Precision, ...] = WEIGHTS, pictures: Path | None = None
) -> StoredModel:
    """Write graphs of a stored model, check them, and store them with it.

    Args:
        tag: name or `name:version`.
        weights: number formats to write.
        pictures: a folder of pictures like those to be captioned, which the ranges of int8
            activations are taken from; drawn ones by default.

    Raises:
        BackendError: the model's method has no graphs, or what makes them is not installed, or they
            do not compute what the model does.
        models.store.ModelNotFoundError: no such model is in the store.
        models.api.metadata.BrokenModelError: it is damaged.
        ValueError: the pictures cannot be read.
    """
    model = store.find(tag)
    with tempfile.TemporaryDirectory(prefix="captionbox-openvino-") as temporary:
        target = Path(temporary)
        for item in model.path.iterdir():
            if item.name != FOLDER:
                (target / item.name).symlink_to(item.resolve())
        add_graphs(target, weights, pictures)
        return store.install(target, model.name, content_version(target))


def add_graphs(
    directory: Path, weights: tuple[Precision, ...] = WEIGHTS, pictures: Path | None = None
) -> None:
    """Write graphs into a model directory of any method and check them.

    Args:
        directory: the model's.
        weights, pictures: as for `export_model`.

    Raises:
        BackendError, models.api.metadata.BrokenModelError, ValueError: as for `export_model`.
    """
    metadata = metadata_module.read(directory)
    if not find_method(metadata.method).openvino:
        raise BackendError(f"the method {metadata.method!r} has no graphs for OpenVINO")
    spec = metadata.preprocess
    seen = read_pictures(pictures, spec) if pictures else draw_pictures(spec.height, spec.width)
    export(directory, weights, seen)


def export(directory: Path, weights: tuple[Precision, ...], pictures: NDArray[np.uint8]) -> None:
    """Write graphs into a model directory and check them.

    Args:
        directory: a `vit-gpt2`'s.
        weights: number formats to write.
        pictures: `uint8 [P, 3, H, W]`.

    Raises:
        BackendError, models.api.metadata.BrokenModelError: as for `export_model`.
    """
    network = VitGpt2Captioner.load_trainable(directory).network
    write_graphs(network, directory, weights, pictures)
    _check(network, directory, torch.from_numpy(pictures[:_CHECKED]))


@torch.inference_mode()
def _check(network: VitGpt2, directory: Path, pixels: torch.Tensor) -> None:
    """Compare the scores of some words with the network's.

    Raises:
        BackendError: float32 differs by more than rounding.
    """
    generator = torch.Generator().manual_seed(0)
    shape = (_ROWS * len(pixels), min(_TOKENS, network.max_tokens))
    tokens = torch.randint(network.vocab_size, shape, generator=generator)
    expected = network.decode(tokens, network.encode(pixels)).log_softmax(-1)
    for precision in GraphsInfo.read(directory).precisions:
        graphs = OpenVinoNetwork(directory, precision)
        found = graphs.decode(tokens, graphs.encode(pixels)).log_softmax(-1)
        off = float((found - expected).abs().mean())
        agreed = float((found.argmax(-1) == expected.argmax(-1)).float().mean())
        logger.info(
            "%s: log-probabilities off by %.4f in the mean, best word the same in %.0f %%",
            precision,
            off,
            100 * agreed,
        )
        if precision == "fp32" and off > 1e-2:
            raise BackendError(f"the graphs do not compute what the model does: off by {off:.3f}")
