"""Train a captioner on COCO-format data.

    python -m training.train --config compact --data DIR [--data DIR ...] --out RUN
    python -m training.train --init MODEL --config compact --data DIR --out RUN
    python -m training.train --init MODEL --config vit-gpt2 --data DIR --out RUN
    python -m training.train --out RUN --resume

Shows a progress bar, loss and validation CIDEr; writes checkpoints and the best model into RUN
(`training/loop/run_directory.py` says what is where). `--set key=value` changes a recipe's
number, `--set model.d_model=256` one of the network's. Validation runs on the first `--data`'s
`val` split.

`--init` goes on from a trained model (a tag of the store, a model directory or another run) and
keeps its vocabulary: fine-tuning on one's own pictures. Without it the network starts afresh.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import sys
from pathlib import Path

from transformers import set_seed

from models.api.device import DeviceError
from models.api.metadata import BrokenModelError
from models.backbones import BACKBONES
from models.store import ModelNotFoundError
from training.data.coco import DataError
from training.data.machine import is_main, start_logging
from training.data.mixture import DataSource
from training.data.splits import Splits
from training.export.model_directory import export
from training.loop import run_directory
from training.loop.hardware import Hardware
from training.loop.run_directory import RunError
from training.loop.run_settings import add_run_arguments, hardware_of, read_start, write_start
from training.loop.session import Session
from training.loop.starting_point import go_on_from, model_directory, start_afresh
from training.recipes.recipe import Recipe, RecipeError, load_recipe

logger = logging.getLogger(__name__)


def train(
    recipe: Recipe,
    data: list[DataSource],
    run: Path,
    resume: bool = False,
    trunk: str | None = None,
    max_steps: int = -1,
    image_cache: Path | None = None,
    init: Path | None = None,
    hardware: Hardware | None = None,
    feature_cache: Path | None = None,
) -> Path:
    """Train and return the directory of the best model.

    Args:
        recipe: all numbers.
        data: data sets with a `train` split; the first one's `val` split validates.
        run: the run's folder, see `training.loop.run_directory`.
        resume: continue from the newest complete checkpoint in `run`.
        trunk: pretrained trunk weights for a fresh run.
        max_steps: stop after so many optimiser steps; -1 runs the recipe's epochs.
        image_cache: folder for decoded pictures.
        init: model directory to go on from; on `resume` the run's own copy is used.
        hardware: what to compute on; None takes what is there.
        feature_cache: folder for trunk features, where the recipe keeps any; None is the run's own.

    Raises:
        BrokenModelError: `init` cannot be loaded.
        DataError, RecipeError, RunError: see there.
    """
    hardware = hardware or Hardware.find()
    hardware.say("training.train")
    if is_main():
        run_directory.prepare(run, resume)
    splits = Splits.load(data, recipe.max_unreadable)
    own = run / run_directory.START_NAME
    if resume and own.is_dir():
        init = own
    set_seed(recipe.seed)
    if init is not None:
        network, tokenizer, metadata = go_on_from(init, recipe, splits)
    else:
        network, tokenizer, metadata = start_afresh(recipe, splits, trunk, run if resume else None)
    logger.info(
        "%d captions, %d words; %.1f M parameters",
        len(splits.captions),
        len(tokenizer),
        metadata.parameters / 1e6,
    )
    session = Session(
        recipe,
        splits,
        network,
        tokenizer,
        metadata,
        run,
        export,
        max_steps,
        image_cache,
        hardware,
        feature_cache,
    )
    trainer = session.trainer()
    # Last of all: a mistake found before leaves no half-begun run.
    if not resume and is_main():
        if init is not None:
            shutil.copytree(init, own, dirs_exist_ok=True)
        write_start(run, recipe, data, tokenizer)
    return session.fit(trainer, resume)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m training.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", help="recipe: a name or a .json file")
    add_run_arguments(parser)
    parser.add_argument("--init", metavar="MODEL", help="store tag, model directory or run folder")
    parser.add_argument(
        "--backbone", choices=BACKBONES, help="image trunk of a new network (default: the recipe's)"
    )
    parser.add_argument(
        "--trunk", metavar="FILE|HUB_ID[@REVISION]", help="pretrained weights of the image trunk"
    )
    options = parser.parse_args(arguments)
    if options.backbone:
        options.overrides.append(f"model.backbone={options.backbone}")
    if not options.resume and not (options.config and options.data):
        parser.error("a new run needs --config and --data")
    begun = (options.config, options.overrides, options.trunk, options.init, options.layout)
    if options.resume and any(begun):
        parser.error(
            "--resume goes on as the run began: "
            "no --config, --set, --backbone, --init, --trunk or --layout with it"
        )
    if options.init and options.trunk:
        parser.error("--init has a trunk already: no --trunk with it")
    return options


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    options = parse(arguments)
    start_logging()
    try:
        if options.resume:
            recipe, data = read_start(options.out)
        else:
            recipe = load_recipe(options.config, options.overrides)
            data = [DataSource.parse(text, options.layout) for text in options.data]
        best = train(
            recipe,
            data,
            options.out,
            options.resume,
            options.trunk,
            options.max_steps,
            options.image_cache,
            model_directory(options.init) if options.init else None,
            hardware_of(options),
            options.feature_cache,
        )
    except (
        BrokenModelError,
        DataError,
        DeviceError,
        ModelNotFoundError,
        RecipeError,
        RunError,
    ) as error:
        logger.error("%s", error)
        return 2
    logger.info("best model: %s", best)
    return 0


if __name__ == "__main__":
    sys.exit(main())
