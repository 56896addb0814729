"""What every training run shares: its data, its validation, its trainer, its best model."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from transformers import EarlyStoppingCallback, PrinterCallback, TrainingArguments

from models.api import metadata as metadata_module
from models.api.captioner import Captioner
from models.api.measured import Conditions, Measured, Tokenisation
from models.api.metadata import BrokenModelError, ModelMetadata
from models.api.options import CaptionOptions
from models.layers.network_protocol import TrainableNetwork
from models.registry import captioner_class
from training.data.dataset import CaptionDataset, Collate, TrainingVocabulary
from training.data.image_cache import ImageCache
from training.data.machine import is_main, leave
from training.data.mixture import Mixture
from training.data.pictures import PictureReader
from training.data.splits import Splits
from training.loop import run_directory
from training.loop.captioning import caption_images, texts
from training.loop.frozen_trunk import EncodeOnce, network_that_keeps_its_trunk
from training.loop.hardware import Hardware
from training.loop.trainer import (
    CaptionTrainer,
    Epochs,
    KeepBest,
    ReadableEnough,
    RunLog,
    fix_what_does_not_learn,
)
from training.metrics.scores import HEADLINES, JUDGE, METRICS, recorded
from training.metrics.scoring import score
from training.recipes.recipe import Recipe

logger = logging.getLogger(__name__)

_TOKENIZER: Tokenisation = "words"
"""What validations are scored by: the one of the runs and tables that were there before."""

Export = Callable[[TrainableNetwork, TrainingVocabulary, ModelMetadata, Path], None]
"""Writes a model directory; see `training.export.model_directory.export`."""


@dataclass(frozen=True)
class Session:
    """Everything a run needs.

    Attributes:
        recipe: all numbers.
        splits: the data.
        network: what learns.
        tokenizer: its vocabulary.
        metadata: what the exported model will say of itself, scores apart.
        run: the run's folder.
        export: writes the best model.
        max_steps: stop after so many optimiser steps; -1 runs the recipe's epochs.
        image_cache: folder for decoded pictures, see `data.image_cache`; None decodes anew.
        hardware: what the run computes on.
        feature_cache: folder for trunk features, see `loop.frozen_trunk`; None keeps them in the
            run's own.
    """

    recipe: Recipe
    splits: Splits
    network: TrainableNetwork
    tokenizer: TrainingVocabulary
    metadata: ModelMetadata
    run: Path
    export: Export
    max_steps: int = -1
    image_cache: Path | None = None
    hardware: Hardware = field(default_factory=Hardware.find)
    feature_cache: Path | None = None

    @cached_property
    def reader(self) -> PictureReader:
        """What reads the pictures of all splits."""
        spec = self.metadata.preprocess
        parts = self.splits.all if self.image_cache is not None else ()
        return PictureReader(
            spec, [ImageCache(Path(self.image_cache or ""), p, spec) for p in parts]
        )

    def dataset(self) -> CaptionDataset:
        """Return the training pictures of all splits."""
        recipe, train = self.recipe, self.splits.train
        sizes = tuple(len(part) for part in train)
        return CaptionDataset(
            [image for part in train for image in part.images],
            self.tokenizer,
            self.reader,
            recipe.augmentation,
            recipe.captions_per_image,
            recipe.max_caption_tokens,
            recipe.seed,
            Mixture(sizes, self.splits.weights, recipe.seed),
        )

    @property
    def conditions(self) -> Conditions:
        """How `validate` measures: as `training.evaluate` would the exported model, in float32."""
        part = self.splits.validation
        return Conditions.of(part.name, len(part), self.metadata.decode, "fp32", _TOKENIZER)

    def validate(self) -> dict[str, float]:
        """Caption the validation split with the network as it is; return the headline scores."""
        images = self.splits.validation.images
        kind: Any = captioner_class(self.metadata.method)
        captioner: Captioner = kind(self.network, self.tokenizer, self.metadata)
        captions = texts(
            caption_images(
                captioner,
                images,
                CaptionOptions(),
                self.hardware.validation_batch,
                reader=self.reader,
                readers=max(1, self.hardware.workers),
                max_unreadable=self.recipe.max_unreadable,
            )
        )
        references = {i.image_id: i.references for i in images if i.image_id in captions}
        found = score(captions, references, tokenizer=_TOKENIZER).values()
        return {key: found[key] for key in HEADLINES if key in found}

    def keep(self, scores: dict[str, float]) -> None:
        """Export the network as the run's best model."""
        measured = Measured(conditions=self.conditions, scores=recorded(scores))
        self.export(
            self.network,
            self.tokenizer,
            self.metadata.model_copy(update={"scores": [measured]}),
            self.run / run_directory.MODEL_NAME,
        )

    def _kept(self) -> float | None:
        """Return the judging score of the model exported before this run was resumed."""
        try:
            kept = metadata_module.read(self.run / run_directory.MODEL_NAME)
        except BrokenModelError:
            return None
        # Somebody may have recorded other scores since; a run that began before conditions were
        # on record has one score only.
        other = kept.metrics.get(self.splits.validation.name, {}).get(JUDGE)
        return kept.measured_in("fp32", JUDGE).get(self.conditions, other)

    def trainer(
        self,
        kind: Callable[..., CaptionTrainer] = CaptionTrainer,
        **extra: Any,
    ) -> CaptionTrainer:
        """Return the trainer of this run.

        Args:
            kind: the trainer's class.
            extra: further arguments of `kind`.

        Raises:
            RunError: the disk is too small for the run's checkpoints.
            RecipeError: features are to be kept of a trunk that learns.
        """
        parameters = sum(parameter.numel() for parameter in self.network.parameters())
        if is_main():  # the folder is the first process's
            run_directory.require_space(self.run, parameters, self.recipe.average > 0)
        dataset = self.dataset()
        fix_what_does_not_learn(self.network, self.recipe)
        if self.hardware.compiled:
            self.network.compile_trunk()
        # What only some passes or no pass uses: a trunk that waits, or whose features are given.
        some_unused = self.recipe.frozen_epochs > 0 or kind is not CaptionTrainer
        callbacks: list[Any] = [
            RunLog(self.run, self.conditions),
            Epochs(self.network, dataset, self.recipe),
            KeepBest(self.keep, self._kept()),
            ReadableEnough(dataset, self.recipe.max_unreadable),
        ]
        if self.recipe.feature_views:
            keeps = network_that_keeps_its_trunk(self.network, self.recipe)
            folder = self.feature_cache or self.run / run_directory.FEATURES_NAME
            callbacks.append(EncodeOnce(keeps, dataset, self.recipe, folder, self.hardware))
        if self.recipe.early_stopping:
            callbacks.append(EarlyStoppingCallback(self.recipe.early_stopping))
        arguments = {
            "recipe": self.recipe,
            "validate": self.validate,
            "model": self.network,
            "args": training_arguments(
                self.recipe, self.run, self.max_steps, some_unused, self.hardware
            ),
            "data_collator": Collate.of(self.network),
            "train_dataset": dataset,
            "eval_dataset": dataset,
            "callbacks": callbacks,
            **extra,
        }
        trainer = kind(**arguments)
        trainer.remove_callback(PrinterCallback)
        return trainer

    def fit(self, trainer: CaptionTrainer, resume: bool) -> Path:
        """Train, on from the newest complete checkpoint if `resume`; return the best model."""
        checkpoints = run_directory.complete_checkpoints(self.run) if resume else []
        if resume and not checkpoints:
            logger.warning("no complete checkpoint yet: starting from the beginning")
        trainer.train(resume_from_checkpoint=str(checkpoints[-1]) if checkpoints else None)
        if trainer.state.global_step < trainer.state.max_steps:
            patience = self.recipe.early_stopping
            name = METRICS[JUDGE].name
            logger.info("stopped early: no better %s for %d validations", name, patience)
        leave()
        return self.run / run_directory.MODEL_NAME


def training_arguments(
    recipe: Recipe, run: Path, max_steps: int, some_unused: bool, hardware: Hardware
) -> TrainingArguments:
    """Return the trainer's settings for a recipe.

    Args:
        recipe: all numbers.
        run: the run's folder.
        max_steps: stop after so many optimiser steps; -1 runs the recipe's epochs.
        some_unused: some steps leave some learning weights without a gradient.
        hardware: what the run computes on.
    """
    schedule: str = recipe.schedule
    if schedule == "constant" and recipe.warmup:
        schedule = "constant_with_warmup"
    found = TrainingArguments(
        output_dir=str(run),
        num_train_epochs=recipe.epochs,
        max_steps=max_steps,
        per_device_train_batch_size=recipe.batch_images,
        gradient_accumulation_steps=recipe.accumulate,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type=schedule,
        warmup_steps=recipe.warmup,
        max_grad_norm=recipe.max_grad_norm,
        **hardware.arguments(),
        bf16=recipe.bf16 == "on" or (recipe.bf16 == "auto" and hardware.computes_bf16()),
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=2,  # the best and the last
        load_best_model_at_end=True,
        metric_for_best_model=JUDGE,
        greater_is_better=METRICS[JUDGE].better == "higher",
        logging_steps=10,
        report_to=[],
        # A bar in a log file is noise; `RunLog` writes lines there.
        disable_tqdm=not sys.stderr.isatty(),
        seed=recipe.seed,
        remove_unused_columns=False,
        ddp_find_unused_parameters=some_unused,
        # The other processes wait while the first one captions the validation split.
        ddp_timeout=7200,
    )
    # Of several GPUs `Trainer` would use all from one process, by `DataParallel`: slower than one
    # where the network is small, and a step would see more pictures than the recipe says.
    found._n_gpu = min(found.n_gpu, 1)
    return found
