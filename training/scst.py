"""Self-critical sequence training (Rennie et al. 2017): reward sampled captions by CIDEr-D.

    python -m training.scst --model RUN_OR_TAG --data DIR [--data DIR ...] --out RUN2
    python -m training.scst --out RUN2 --resume

Starts from a trained model, the vocabulary and network of which stay. `training.loop.self_critical`
says what is rewarded.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import sys
from pathlib import Path
from typing import cast

from transformers import set_seed

from models.api import metadata as metadata_module
from models.api.device import DeviceError
from models.api.metadata import BrokenModelError
from models.captioners.cnn_transformer.captioner import CnnTransformerCaptioner
from models.captioners.cnn_transformer.network import CnnTransformer
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
from training.loop.self_critical import Reward, ScstTrainer, collate_pixels
from training.loop.session import Session
from training.loop.starting_point import load_trainable, model_directory
from training.recipes.recipe import Recipe, RecipeError, load_recipe

logger = logging.getLogger(__name__)


def train_self_critical(
    recipe: Recipe,
    start: Path,
    data: list[DataSource],
    run: Path,
    resume: bool = False,
    max_steps: int = -1,
    image_cache: Path | None = None,
    hardware: Hardware | None = None,
    feature_cache: Path | None = None,
) -> Path:
    """Train and return the directory of the best model, the start included.

    Args:
        recipe: all numbers; its method and vocabulary settings are the start model's.
        start: model directory to begin with; on `resume` the run's own copy is used.
        data, run, resume, max_steps, image_cache, hardware, feature_cache: as in
            `training.train.train`.

    Raises:
        BrokenModelError: the start model cannot be loaded or cannot be trained so.
        DataError, RunError: see there.
    """
    hardware = hardware or Hardware.find()
    hardware.say("training.scst")
    if is_main():
        run_directory.prepare(run, resume)
    splits = Splits.load(data, recipe.max_unreadable)
    own = run / run_directory.START_NAME
    captioner = load_trainable(own if resume else start)
    if not isinstance(captioner, CnnTransformerCaptioner):
        raise BrokenModelError(f"{captioner.method} cannot be trained self-critically")
    set_seed(recipe.seed)
    began = metadata_module.read(own if resume else start)
    metadata = began.model_copy(
        update={
            "git_sha": run_directory.git_sha(),
            "source": f"{began.source}, then python -m training.scst",
        }
    )
    network, tokenizer = cast(CnnTransformer, captioner.network), captioner.tokenizer
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
    reward = Reward([part.images for part in splits.train], tokenizer)
    trainer = session.trainer(
        ScstTrainer,
        reward=reward,
        no_repeat_ngram=metadata.decode.no_repeat_ngram,
        data_collator=collate_pixels,
    )
    if not resume:
        if is_main():
            shutil.copytree(start, own, dirs_exist_ok=True)
            write_start(run, recipe, data, tokenizer)
        # What every epoch must beat, and what is kept if none does.
        trainer.evaluate()
    return session.fit(trainer, resume)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m training.scst",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", help="store tag, model directory or run folder to start from")
    parser.add_argument("--config", default="scst", help="recipe: a name or a .json file")
    add_run_arguments(parser)
    options = parser.parse_args(arguments)
    if not options.resume and not (options.model and options.data):
        parser.error("a new run needs --model and --data")
    start_logging()
    try:
        if options.resume:
            recipe, data = read_start(options.out)
            start = options.out / run_directory.START_NAME
        else:
            recipe = load_recipe(options.config, options.overrides)
            data = [DataSource.parse(text, options.layout) for text in options.data]
            start = model_directory(options.model)
        best = train_self_critical(
            recipe,
            start,
            data,
            options.out,
            options.resume,
            options.max_steps,
            options.image_cache,
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
