"""Average the weights of several trained models into one.

    python -m training.average RUN RUN2 RUN/checkpoint-308 --out DIR

Runs that went on from one model lie in one basin of the loss, where the mean of their weights is
better than most of them and no slower than one (Wortsman et al. 2022, "Model soups"). The result
is a model directory to evaluate, register and serve.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import torch
from safetensors.torch import load_file
from torch import Tensor

from models.api import metadata as metadata_module
from models.api.metadata import BrokenModelError
from models.captioners.cnn_transformer.captioner import CnnTransformerCaptioner
from models.captioners.cnn_transformer.network import CnnTransformer
from models.store import ModelNotFoundError
from training.data.machine import start_logging
from training.export.model_directory import export
from training.loop import run_directory
from training.loop.run_directory import RunError
from training.loop.starting_point import load_trainable, model_directory
from training.loop.weight_average import FILE_NAME, averaged_tensors

logger = logging.getLogger(__name__)

_WEIGHTS = "model.safetensors"


def read_weights(source: str) -> dict[str, Tensor]:
    """Return a model's weights as float32.

    Args:
        source: store tag, model directory, run folder, or a run's checkpoint folder, of which the
            moving average is taken where it has one.

    Raises:
        RunError: the weights cannot be read.
        ModelNotFoundError: there is no such model.
    """
    folder = Path(source)
    try:
        if (folder / FILE_NAME).is_file():
            return averaged_tensors(folder)
        if not (folder / "trainer_state.json").is_file():
            folder = model_directory(source)
        return {name: part.float() for name, part in load_file(folder / _WEIGHTS).items()}
    except (OSError, RuntimeError) as error:
        raise RunError(f"{source}: {error}") from error


def average(sources: Sequence[str], out: Path) -> None:
    """Write a model with the mean of the sources' weights.

    Args:
        sources: at least two, see `read_weights`; the first is a model, whose vocabulary and
            settings are taken.
        out: the model directory to write; there must be none.

    Raises:
        RunError: `out` is there, or the models are not of one shape.
        BrokenModelError, ModelNotFoundError: the first source is no model.
    """
    if out.exists():
        raise RunError(f"{out}: is there already")
    first = model_directory(sources[0])
    captioner = load_trainable(first)
    if not isinstance(captioner, CnnTransformerCaptioner):
        raise BrokenModelError(f"{captioner.method} cannot be averaged")
    network = cast(CnnTransformer, captioner.network)
    total = read_weights(sources[0])
    for source in sources[1:]:
        more = read_weights(source)
        for name, tensor in total.items():
            if name not in more or more[name].shape != tensor.shape:
                raise RunError(f"{source}: not of the shape of {sources[0]}: {name}")
            tensor += more[name]
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if name in total:
                tensor.copy_(total[name] / len(sources))
    began = metadata_module.read(first)
    metadata = began.model_copy(
        update={
            # Nobody has measured these weights, in any number format.
            "scores": [],
            "git_sha": run_directory.git_sha(),
            "source": f"{began.source}, then python -m training.average of {len(sources)}",
        }
    )
    export(network, captioner.tokenizer, metadata, out)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m training.average",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("models", nargs="+", metavar="MODEL", help="model, run or checkpoint")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="model directory")
    options = parser.parse_args(arguments)
    if len(options.models) < 2:
        parser.error("name at least two models")
    start_logging()
    try:
        average(options.models, options.out)
    except (BrokenModelError, ModelNotFoundError, RunError) as error:
        logger.error("%s", error)
        return 2
    logger.info("wrote %s", options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
