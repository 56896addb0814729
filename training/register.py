"""Put a trained model into the BentoML store, ready to serve.

    python -m training.register RUN --name NAME
    CAPTIONBOX_MODELS=NAME make serve

RUN is a run's folder (its best model is taken) or a model directory. Weights, vocabulary,
preprocessing, metrics and model card travel together.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from models.api.metadata import BrokenModelError
from models.registry import load_captioner
from models.store import ModelNotFoundError, StoredModel, install
from training.loop.starting_point import model_directory

logger = logging.getLogger(__name__)


def register(run: Path, name: str) -> StoredModel:
    """Check that the model loads, then install it in the store as a new version of `name`.

    Raises:
        BrokenModelError: it does not load.
        ModelNotFoundError: there is no model in `run`.
        ValueError: the store refuses `name`.
    """
    directory = model_directory(str(run))
    load_captioner(directory)
    return install(directory, name)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m training.register",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="run folder or model directory")
    parser.add_argument("--name", required=True, help="name to serve it under")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        model = register(options.run, options.name)
    except (BrokenModelError, ModelNotFoundError, ValueError) as error:
        logger.error("%s", error)
        return 2
    logger.info("registered %s; serve it with CAPTIONBOX_MODELS=%s", model.tag, model.name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
