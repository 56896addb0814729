"""The training loop: transformers' `Trainer` with two learning rates and a score as judge.

Which weights learn, and how fast, follows from the recipe's freezing and its two learning rates.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from models.api.measured import Conditions
from models.layers.network_protocol import IGNORED, TrainableNetwork
from training.data.dataset import CaptionDataset
from training.data.machine import of_main
from training.data.pictures import check_share
from training.loop.hardware import exact_float32
from training.loop.run_directory import append_log
from training.loop.speed import PICTURES, WAIT, Speed
from training.loop.weight_average import WeightAverage
from training.metrics.scores import JUDGE, LOGGED, METRICS, headlines
from training.recipes.recipe import Recipe

logger = logging.getLogger(__name__)

Validate = Callable[[], dict[str, float]]
"""Captions the validation split with the network as it is and returns its scores by name."""


def fix_what_does_not_learn(network: TrainableNetwork, recipe: Recipe) -> None:
    """Fix the weights that the recipe never trains.

    To be called before several processes agree on what learns.
    """
    module: Any = network
    if recipe.decoder_learns == "cross-attention":
        module.requires_grad_(False)
        for part in network.cross_attention():
            part.requires_grad_(True)
    network.let_trunk_learn(recipe.trunk_learning_rate > 0)


def parameter_groups(network: TrainableNetwork, recipe: Recipe) -> list[dict[str, Any]]:
    """Return AdamW's groups: trunk or not, matrices (decayed) or vectors (not)."""
    module: Any = network
    trunk = {id(parameter) for parameter in network.trunk_parameters()}
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for parameter in module.parameters():
        in_trunk = id(parameter) in trunk
        # A trunk that waits for its first epochs stands still now but learns later.
        if recipe.trunk_learning_rate > 0 if in_trunk else parameter.requires_grad:
            groups.setdefault((in_trunk, parameter.ndim > 1), []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": recipe.trunk_learning_rate if in_trunk else recipe.learning_rate,
            "weight_decay": recipe.weight_decay if decayed else 0.0,
        }
        for (in_trunk, decayed), parameters in groups.items()
    ]


class CaptionTrainer(Trainer):
    """`Trainer` for a `TrainableNetwork`.

    Args:
        recipe: learning rates, decay, label smoothing.
        validate: called by `evaluate`; its scores are logged as `eval_NAME`.
        kwargs: `Trainer`'s own.
    """

    def __init__(self, *, recipe: Recipe, validate: Validate, **kwargs: Any) -> None:
        self.recipe, self.validate = recipe, validate
        super().__init__(**kwargs)
        self.speed = Speed(self.accelerator.num_processes)
        self.average: WeightAverage | None = None
        if recipe.average:
            self.average = WeightAverage(kwargs["model"], recipe.average)
            self.add_callback(Averaging(self.average))
        # Has the trainer count the tokens of all processes and accumulation steps for
        # `compute_loss`, which then does the averaging.
        self.model_accepts_loss_kwargs = True

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """Return AdamW with the groups of `parameter_groups`."""
        if self.optimizer is None:
            # Of the network itself, whatever several processes have wrapped around it.
            network: Any = self.accelerator.unwrap_model(model or self.model)
            groups = parameter_groups(network, self.recipe)
            self.optimizer = torch.optim.AdamW(groups, betas=(0.9, self.recipe.beta2))
        return self.optimizer

    def get_train_dataloader(self) -> Any:
        """Return the loader; its workers' seed, which nothing here uses, is drawn by itself.

        Workers that last draw it once, and those of a resumed run again: the order of pictures and
        dropout, which are drawn from the generator of all else, have to stay the same.
        """
        loader = super().get_train_dataloader()
        # accelerate's loader asks the one within it.
        inner: Any = getattr(loader, "base_dataloader", loader)
        inner.generator = torch.Generator().manual_seed(self.args.seed)
        return loader

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> Any:
        """Return the next step's batches; the time that it takes is waited for data."""
        with self.speed.waiting():
            found = super().get_batch_samples(*args, **kwargs)
        pictures = [batch.get("pixels", batch.get("features")) for batch in found[0]]
        self.speed.count(sum(map(len, pictures)))
        return found

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Add how fast it has gone since the last entry."""
        if "loss" in logs:
            logs |= self.speed.take()
        super().log(logs, *args, **kwargs)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Return the batch's share of the step's loss, in nats per token.

        Every token of a step counts the same, whichever process and accumulation step saw it: two
        processes do what one with twice the pictures does.
        """
        output = model(**inputs, label_smoothing=self.recipe.label_smoothing)
        loss = output.loss
        if num_items_in_batch is not None:
            counted = (inputs["labels"] != IGNORED).sum()
            # Gradients are averaged over processes; their sum is wanted.
            loss = loss * (counted / num_items_in_batch * self.accelerator.num_processes)
        return (loss, output) if return_outputs else loss

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Caption the validation split, log the scores and return them as `eval_NAME`."""
        # The callbacks keep the best weights: they must see those that were validated.
        averaged = self.average.in_place() if self.average else contextlib.nullcontext()
        with self.speed.pausing(), averaged:
            # One process captions; the others wait for its scores, on which all decide what is
            # best.
            found = of_main(self._validated() if self.accelerator.is_main_process else {})
            scores = {LOGGED + name: value for name, value in found.items()}
            self.log(scores)
            self.control = self.callback_handler.on_evaluate(
                self.args, self.state, self.control, scores
            )
        return scores

    def _save(
        self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None
    ) -> None:
        # `Trainer` saves under the hub's names of weights and resumes without translating them
        # back, so a ViT would silently stay as it began (transformers issue 48805).
        if self.args.should_save:
            network: Any = self.accelerator.unwrap_model(self.model)
            folder = output_dir or self.args.output_dir
            network.save_pretrained(folder, state_dict=state_dict, save_original_format=False)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        super()._save_optimizer_and_scheduler(output_dir)
        if self.average and self.accelerator.is_main_process:
            self.average.save(Path(output_dir))

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if self.average and checkpoint is not None:
            self.average.load(Path(checkpoint))

    def _validated(self) -> dict[str, float]:
        network = self.accelerator.unwrap_model(self.model)
        network.eval()
        try:
            # In float32, whatever training computes in: the scores are recorded as such.
            with exact_float32():
                return self.validate()
        finally:
            network.train()


class Averaging(TrainerCallback):
    """Takes every step's weights into the average."""

    def __init__(self, average: WeightAverage) -> None:
        self.average = average

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Update the average."""
        self.average.update()


class RunLog(TrainerCallback):
    """Writes every log entry to the run's `log.jsonl` and the scores to the terminal.

    Args:
        run: the run's folder.
        conditions: how validations measure; stands beside their scores.
    """

    def __init__(self, run: Path, conditions: Conditions) -> None:
        self.run, self.conditions = run, conditions

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Append the entry, once, whatever the number of processes."""
        if state.is_world_process_zero and logs:
            entry = {"step": state.global_step, "epoch": state.epoch, **logs}
            if LOGGED + JUDGE in logs:
                entry["conditions"] = self.conditions.model_dump(mode="json")
            append_log(self.run, entry)
            epoch = state.epoch or 0.0
            if LOGGED + JUDGE in logs:
                where, how = self.conditions.where, self.conditions.how
                logger.info("epoch %.2f: %s on %s; %s", epoch, headlines(logs), where, how)
            elif "loss" in logs:
                speed = ""
                if PICTURES in logs:
                    speed = f"; {logs[PICTURES]:.0f} pictures/s, {logs[WAIT]:.0%} waiting for data"
                logger.info(
                    "epoch %.2f, step %d of %d: loss %.4f%s",
                    epoch,
                    state.global_step,
                    state.max_steps,
                    logs["loss"],
                    speed,
                )


class Epochs(TrainerCallback):
    """Tells the data set which pass it is and keeps the trunk still for the first ones."""

    def __init__(self, network: TrainableNetwork, data: CaptionDataset, recipe: Recipe) -> None:
        self.network, self.data, self.recipe = network, data, recipe

    def on_epoch_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Set the pass, 0-based, and whether the trunk learns in it."""
        epoch = round(state.epoch or 0.0)
        self.data.set_epoch(epoch)
        waits = epoch < self.recipe.frozen_epochs
        self.network.let_trunk_learn(self.recipe.trunk_learning_rate > 0 and not waits)


class KeepBest(TrainerCallback):
    """Exports the model whenever a validation judges it better than any before it.

    Args:
        export: writes the model, given its scores by name.
        best: judging score of the model that the run has exported so far, if any.
    """

    def __init__(self, export: Callable[[dict[str, float]], None], best: float | None) -> None:
        self.export, self.best = export, best

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Export if these scores are the best so far."""
        judged = (metrics or {}).get(LOGGED + JUDGE)
        if judged is None or not state.is_world_process_zero:
            return
        if METRICS[JUDGE].improves(judged, self.best):
            self.best = judged
            # `Trainer` has put the epoch beside them.
            scores = {k: v for k, v in (metrics or {}).items() if k.startswith(LOGGED)}
            self.export({k.removeprefix(LOGGED): v for k, v in scores.items()})


class ReadableEnough(TrainerCallback):
    """Stops a run when too many pictures turn out to be damaged.

    Args:
        data: counts them.
        max_share: of all pictures that may be, 0..1.
    """

    def __init__(self, data: CaptionDataset, max_share: float) -> None:
        self.data, self.max_share = data, max_share

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Raise `DataError` if there are more."""
        check_share("training", self.data.unreadable, len(self.data.images), self.max_share)
