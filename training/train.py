"""Train a captioner on COCO-format data.

    python -m training.train --config compact --data DIR [--data DIR ...] --out RUN
    python -m training.train --init MODEL --config compact --data DIR --out RUN
    python -m training.train --init MODEL --config vit-gpt2 --data DIR --out RUN
    python -m training.train --out RUN --resume

Shows a progress bar, loss and validation CIDEr; writes checkpoints and the best model into RUN
(`training/export/run_directory.py` says what is where). `--set key=value` changes a recipe's
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
from importlib import import_module
from pathlib import Path
from typing import cast

import torch
from safetensors.torch import load_file
from torch import nn
from transformers import set_seed

from models.api.metadata import BrokenModelError, ModelMetadata
from models.api.metadata import read as read_metadata
from models.api.preprocessing import PreprocessSpec
from models.backbones.builder import EfficientNetTrunk
from models.backbones.mobilenet_edgetpu import MobileNetEdgeTpu, load_imagenet_weights
from models.captioners.cnn_transformer.network import CnnTransformer
from models.captioners.cnn_transformer.tokenizer import CaptionTokenizer
from models.layers.network_protocol import TrainableNetwork
from models.store import ModelNotFoundError
from training.data.coco import DataError
from training.data.mixture import DataSource
from training.data.processes import is_main, start_logging
from training.data.splits import Splits
from training.export import run_directory
from training.export.model_directory import TrainingVocabulary, load_trainable, model_directory
from training.export.run_directory import RunError
from training.loop.output_bias import log_frequencies
from training.loop.run_arguments import add_run_arguments
from training.loop.session import Session, read_start, write_start
from training.recipes.recipe import Recipe, RecipeError, load_recipe

logger = logging.getLogger(__name__)

CONFIG_MODULES = {
    "compact": "models.captioners.cnn_transformer.compact",
    "tf-tutorial": "models.captioners.cnn_transformer.tf_tutorial",
    "keras-example": "models.captioners.cnn_transformer.keras_example",
}
"""Method name to the module with its `config(vocab_size)` and `DEFAULTS`."""


def build_network(recipe: Recipe, vocab_size: int, trunk: str | None) -> CnnTransformer:
    """Return a fresh network.

    Args:
        recipe: names the method and overrides its configuration.
        vocab_size: tokens, special ones included.
        trunk: pretrained trunk weights: a safetensors file for MobileNetEdgeTPU; a hub id, with
            `@revision` if need be, or a `save_pretrained` directory for EfficientNet.

    Raises:
        RecipeError: an override names no configuration field.
        RunError: `trunk` cannot be read or is for another trunk.
    """
    config = import_module(CONFIG_MODULES[recipe.method]).config(vocab_size)
    for key, value in recipe.model.items():
        if key not in config.to_dict():
            raise RecipeError(f"model.{key}: the network has no such setting")
        setattr(config, key, value)
    network = CnnTransformer(config)
    if trunk is not None:
        try:
            load_trunk(network.trunk, trunk)
        except Exception as error:  # safetensors, torch and transformers raise many kinds
            reason = str(error).splitlines()[0] if str(error) else repr(error)
            raise RunError(f"--trunk {trunk}: {reason}") from error
    return network


def load_trunk(network: nn.Module, source: str) -> None:
    """Put pretrained weights into a trunk; `source` as in `build_network`."""
    if isinstance(network, EfficientNetTrunk):
        name, _, revision = source.partition("@")
        network.load_pretrained(name, revision or "main")
    elif isinstance(network, MobileNetEdgeTpu):
        load_imagenet_weights(network, load_file(source))
    else:
        raise ValueError("no pretrained weights are known for this trunk")


def start_afresh(
    recipe: Recipe, splits: Splits, trunk: str | None, run: Path | None
) -> tuple[CnnTransformer, CaptionTokenizer, ModelMetadata]:
    """Return a new network, its vocabulary and what its metadata will be.

    Args:
        recipe, trunk: see `build_network`.
        splits: the training captions make the vocabulary.
        run: an earlier run whose vocabulary is to be used; `None` makes one.

    Raises:
        RecipeError: the method is not trained from nothing, or see `build_network`.
        RunError: see `build_network`.
    """
    if recipe.method not in CONFIG_MODULES:
        raise RecipeError(
            f"{recipe.method} is not trained from nothing: give --init MODEL, one that "
            "`python -m models import` brought, say"
        )
    if run is not None:
        tokenizer = CaptionTokenizer.load(run)
    else:
        tokenizer = CaptionTokenizer.train(
            splits.captions, recipe.min_word_count, recipe.max_vocabulary
        )
    network = build_network(recipe, len(tokenizer), trunk)
    with torch.no_grad():
        network.output_bias.copy_(log_frequencies(tokenizer, splits.captions))
    config = network.config
    preprocess = {
        "height": config.image_height,
        "width": config.image_width,
        "mean": config.image_mean,
        "std": config.image_std,
    }
    metadata = ModelMetadata(
        method=recipe.method,
        preprocess=PreprocessSpec.model_validate(preprocess),
        decode=import_module(CONFIG_MODULES[recipe.method]).DEFAULTS,
        vocabulary_sha256=tokenizer.vocabulary_hash(),
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        data=splits.described,
        git_sha=run_directory.git_sha(),
        source=f"python -m training.train --config {recipe.method}",
    )
    return network, tokenizer, metadata


def go_on_from(
    init: Path, recipe: Recipe, splits: Splits
) -> tuple[TrainableNetwork, TrainingVocabulary, ModelMetadata]:
    """Return a trained model's network, its vocabulary and what its metadata will be.

    Raises:
        BrokenModelError: `init` is damaged or of a method that cannot be trained so.
        RecipeError: the recipe is of another method, or sets what the model has settled.
    """
    captioner = load_trainable(init)
    network = cast(TrainableNetwork, captioner.network)
    if captioner.method != recipe.method:
        raise RecipeError(f"the recipe trains {recipe.method}, --init is a {captioner.method}")
    if recipe.model:
        raise RecipeError(f"model.{next(iter(recipe.model))}: --init has its network settled")
    began = read_metadata(init)
    tokenizer = cast(TrainingVocabulary, captioner.tokenizer)
    if network.unknown_id is not None:
        tokens = [token for text in splits.captions for token in tokenizer.encode(text)]
        unknown = 100 * tokens.count(network.unknown_id) / max(len(tokens), 1)
        logger.info("the model's vocabulary lacks %.1f %% of the captions' words", unknown)
    metadata = began.model_copy(
        update={
            "data": [*began.data, *(d for d in splits.described if d not in began.data)],
            "metrics": {},
            "cider_by_precision": {},
            "notes": [],
            "git_sha": run_directory.git_sha(),
            "source": f"{began.source}, then python -m training.train --init",
        }
    )
    return network, tokenizer, metadata


def train(
    recipe: Recipe,
    data: list[DataSource],
    run: Path,
    resume: bool = False,
    trunk: str | None = None,
    max_steps: int = -1,
    image_cache: Path | None = None,
    init: Path | None = None,
) -> Path:
    """Train and return the directory of the best model.

    Args:
        recipe: all numbers.
        data: data sets with a `train` split; the first one's `val` split validates.
        run: the run's folder, see `training.export.run_directory`.
        resume: continue from the newest complete checkpoint in `run`.
        trunk: pretrained trunk weights for a fresh run.
        max_steps: stop after so many optimiser steps; -1 runs the recipe's epochs.
        image_cache: folder for decoded pictures.
        init: model directory to go on from; on `resume` the run's own copy is used.

    Raises:
        BrokenModelError: `init` cannot be loaded.
        DataError, RecipeError, RunError: see there.
    """
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
    session = Session(recipe, splits, network, tokenizer, metadata, run, max_steps, image_cache)
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
        "--trunk", metavar="FILE|HUB_ID[@REVISION]", help="pretrained weights of the image trunk"
    )
    options = parser.parse_args(arguments)
    if not options.resume and not (options.config and options.data):
        parser.error("a new run needs --config and --data")
    if options.resume and (options.config or options.overrides or options.trunk or options.init):
        parser.error(
            "--resume goes on as the run began: no --config, --set, --init or --trunk with it"
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
            data = [DataSource.parse(text) for text in options.data]
        best = train(
            recipe,
            data,
            options.out,
            options.resume,
            options.trunk,
            options.max_steps,
            options.image_cache,
            model_directory(options.init) if options.init else None,
        )
    except (DataError, RecipeError, RunError, BrokenModelError, ModelNotFoundError) as error:
        logger.error("%s", error)
        return 2
    logger.info("best model: %s", best)
    return 0


if __name__ == "__main__":
    sys.exit(main())
