"""Train a captioner on COCO-format data.

    python -m training.train --config compact --data DIR [--data DIR ...] --out RUN
    python -m training.train --out RUN --resume

Shows a progress bar, loss and validation CIDEr; writes checkpoints and the best model into RUN
(`training/run_directory.py` says what is where). `--set key=value` changes a recipe's number,
`--set model.d_model=256` one of the network's. Validation runs on the first `--data`'s `val` split.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import EarlyStoppingCallback, TrainingArguments, set_seed

from models.backbones.mobilenet_edgetpu import MobileNetEdgeTpu, load_imagenet_weights
from models.catalogue import captioner_class
from models.cnn_transformer import CnnTransformer
from models.cnn_transformer_captioner import CnnTransformerCaptioner
from models.interface import CaptionOptions
from models.metadata import BrokenModelError, ModelMetadata
from models.preprocessing import PreprocessSpec
from models.tokenizer import CaptionTokenizer
from training import run_directory
from training.captioning import caption_images
from training.coco import CaptionData, DataError, load_split
from training.dataset import CaptionDataset, collate
from training.hardware import use_bf16
from training.metrics import score
from training.model_directory import export
from training.output_bias import log_frequencies
from training.recipe import Recipe, RecipeError, load_recipe
from training.run_directory import RunError
from training.trainer import CaptionTrainer, Epochs, KeepBest, RunLog

logger = logging.getLogger(__name__)

CONFIG_MODULES = {
    "compact": "models.compact",
    "tf-tutorial": "models.tf_tutorial",
    "keras-example": "models.keras_example",
}
"""Method name to the module with its `config(vocab_size)` and `DEFAULTS`."""

VALIDATION_BEAMS = 3


def build_network(recipe: Recipe, vocab_size: int, trunk: Path | None) -> CnnTransformer:
    """Return a fresh network.

    Args:
        recipe: names the method and overrides its configuration.
        vocab_size: tokens, special ones included.
        trunk: safetensors file with pretrained trunk weights, for the MobileNetEdgeTPU trunk.

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
        if not isinstance(network.trunk, MobileNetEdgeTpu):
            raise RunError(f"--trunk: {recipe.method} uses {config.backbone}, not MobileNetEdgeTPU")
        try:
            load_imagenet_weights(network.trunk, load_file(trunk))
        except Exception as error:  # safetensors and torch raise many kinds
            raise RunError(f"--trunk {trunk}: {error}") from error
    return network


def train(
    recipe: Recipe,
    data: list[Path],
    run: Path,
    resume: bool,
    trunk: Path | None,
    max_steps: int = -1,
) -> Path:
    """Train and return the directory of the best model.

    Args:
        recipe: all numbers.
        data: data sets with a `train` split; the first one's `val` split validates.
        run: the run's folder, see `training.run_directory`.
        resume: continue from the newest complete checkpoint in `run`.
        trunk: pretrained trunk weights for a fresh run.
        max_steps: stop after so many optimiser steps; -1 runs the recipe's epochs.

    Raises:
        DataError, RecipeError, RunError: see there.
    """
    run_directory.prepare(run, resume)
    training_sets = [load_split(folder, "train") for folder in data]
    validation = load_split(data[0], "val")
    captions = [text for part in training_sets for text in part.captions]
    if resume:
        tokenizer = CaptionTokenizer.load(run)
    else:
        tokenizer = CaptionTokenizer.train(captions, recipe.min_word_count, recipe.max_vocabulary)
    set_seed(recipe.seed)
    network = build_network(recipe, len(tokenizer), trunk)
    with torch.no_grad():
        network.output_bias.copy_(log_frequencies(tokenizer, captions))
    config = network.config
    spec = PreprocessSpec.model_validate(
        {
            "height": config.image_height,
            "width": config.image_width,
            "mean": config.image_mean,
            "std": config.image_std,
        }
    )
    metadata = ModelMetadata(
        method=recipe.method,
        preprocess=spec,
        decode=import_module(CONFIG_MODULES[recipe.method]).DEFAULTS,
        vocabulary_sha256=tokenizer.vocabulary_hash(),
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        data=[f"{part.name}: {len(part)} pictures" for part in training_sets],
        git_sha=run_directory.git_sha(),
        source=f"python -m training.train --config {recipe.method}",
    )
    if not resume:
        # The recipe's presence is what marks a run as resumable: it is written last.
        tokenizer.save(run)
        (run / run_directory.DATA_NAME).write_text(json.dumps([str(p.resolve()) for p in data]))
        (run / run_directory.RECIPE_NAME).write_text(recipe.model_dump_json(indent=2) + "\n")
    dataset = CaptionDataset(
        [image for part in training_sets for image in part.images],
        tokenizer,
        spec,
        recipe.augmentation,
        recipe.captions_per_image,
        recipe.max_caption_tokens,
        recipe.seed,
    )
    logger.info(
        "%d pictures, %d captions, %d words; %.1f M parameters",
        len(dataset),
        len(captions),
        len(tokenizer),
        metadata.parameters / 1e6,
    )
    trainer = _trainer(recipe, network, tokenizer, metadata, dataset, validation, run, max_steps)
    checkpoints = run_directory.complete_checkpoints(run)
    if resume and not checkpoints:
        logger.warning("no complete checkpoint yet: starting from the beginning")
    trainer.train(resume_from_checkpoint=str(checkpoints[-1]) if resume and checkpoints else None)
    return run / run_directory.MODEL_NAME


def _trainer(
    recipe: Recipe,
    network: CnnTransformer,
    tokenizer: CaptionTokenizer,
    metadata: ModelMetadata,
    dataset: CaptionDataset,
    validation: CaptionData,
    run: Path,
    max_steps: int,
) -> CaptionTrainer:
    references = {image.image_id: image.references for image in validation.images}
    kind: Any = captioner_class(recipe.method)

    def validate() -> dict[str, float]:
        captioner: CnnTransformerCaptioner = kind(network, tokenizer, metadata)
        options = CaptionOptions(num_beams=VALIDATION_BEAMS)
        scores = score(caption_images(captioner, validation.images, options), references)
        return {"cider": scores.cider, "bleu_4": scores.bleu_4, "rouge_l": scores.rouge_l}

    def keep(scores: dict[str, float]) -> None:
        found = metadata.model_copy(update={"metrics": {validation.name: scores}})
        export(network, tokenizer, found, run / run_directory.MODEL_NAME)

    callbacks: list[Any] = [RunLog(run), Epochs(network, dataset, recipe), KeepBest(keep)]
    if recipe.early_stopping:
        callbacks.append(EarlyStoppingCallback(recipe.early_stopping))
    arguments = TrainingArguments(
        output_dir=str(run),
        num_train_epochs=recipe.epochs,
        max_steps=max_steps,
        per_device_train_batch_size=recipe.batch_images,
        gradient_accumulation_steps=recipe.accumulate,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type=recipe.schedule if recipe.warmup == 0 else _warm(recipe.schedule),
        warmup_steps=recipe.warmup,
        max_grad_norm=recipe.max_grad_norm,
        use_cpu=not torch.cuda.is_available(),
        bf16=use_bf16(recipe.bf16),
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=1,
        load_best_model_at_end=True,
        metric_for_best_model="cider",
        greater_is_better=True,
        logging_steps=10,
        report_to=[],
        seed=recipe.seed,
        remove_unused_columns=False,
        dataloader_num_workers=1,
    )
    return CaptionTrainer(
        recipe=recipe,
        validate=validate,
        model=network,
        args=arguments,
        data_collator=collate,
        train_dataset=dataset,
        eval_dataset=dataset,
        callbacks=callbacks,
    )


def _warm(schedule: str) -> str:
    return "constant_with_warmup" if schedule == "constant" else schedule


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m training.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", help="recipe: a name or a .json file")
    parser.add_argument("--data", type=Path, action="append", default=[], help="data set folder")
    parser.add_argument("--out", type=Path, required=True, metavar="RUN", help="the run's folder")
    parser.add_argument("--resume", action="store_true", help="continue the run in RUN")
    parser.add_argument("--trunk", type=Path, help="pretrained trunk weights (safetensors)")
    parser.add_argument("--max-steps", type=int, default=-1, help="stop after so many steps")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args(arguments)
    if not options.resume and not (options.config and options.data):
        parser.error("a new run needs --config and --data")
    if options.resume and (options.config or options.overrides or options.trunk):
        parser.error("--resume goes on as the run began: no --config, --set or --trunk with it")
    return options


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    options = parse(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    try:
        if options.resume:
            run_directory.prepare(options.out, resume=True)
            recipe = load_recipe(str(options.out / run_directory.RECIPE_NAME))
            saved = json.loads((options.out / run_directory.DATA_NAME).read_text())
            data = options.data or [Path(folder) for folder in saved]
        else:
            recipe, data = load_recipe(options.config, options.overrides), options.data
        best = train(recipe, data, options.out, options.resume, options.trunk, options.max_steps)
    except (DataError, RecipeError, RunError, BrokenModelError) as error:
        logger.error("%s", error)
        return 2
    logger.info("best model: %s", best)
    return 0


if __name__ == "__main__":
    sys.exit(main())
