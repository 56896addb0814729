"""Self-critical sequence training (Rennie et al. 2017): reward sampled captions by CIDEr-D.

    python -m training.scst --model RUN_OR_TAG --data DIR [--data DIR ...] --out RUN2
    python -m training.scst --out RUN2 --resume

Starts from a trained model. Each picture's captions are drawn, or searched by beams (Cornia et al.
2020), scored with CIDEr-D against its references and reinforced by how much they beat a baseline:
the greedy caption, or the mean of the picture's other captions (Luo 2020). Document frequencies
come from the training captions. The end token counts as a word in every n-gram: without it,
captions learn to stop at "... of a", which then costs nothing.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import set_seed

from models.api import metadata as metadata_module
from models.api.metadata import BrokenModelError
from models.captioners.cnn_transformer.captioner import CnnTransformerCaptioner
from models.captioners.cnn_transformer.network import CnnTransformer
from models.captioners.cnn_transformer.tokenizer import BOS_ID, EOS_ID, PAD_ID, CaptionTokenizer
from models.decoding.beam import beam_search
from models.decoding.protocol import Hypothesis, SearchSettings
from models.decoding.sampling import sample
from models.layers.network_protocol import IGNORED
from models.store import ModelNotFoundError
from training.data.coco import CaptionedImage, DataError
from training.data.dataset import TrainingItem, stack_pixels
from training.data.mixture import DataSource
from training.data.processes import is_main, start_logging
from training.data.splits import Splits
from training.export import run_directory
from training.export.model_directory import load_trainable, model_directory
from training.export.run_directory import RunError
from training.loop.run_arguments import add_run_arguments
from training.loop.session import Session, read_start, write_start
from training.loop.trainer import CaptionTrainer
from training.metrics.cider_d import CiderD, CiderReferences
from training.recipes.recipe import Recipe, RecipeError, load_recipe

logger = logging.getLogger(__name__)

END = "</s>"


class Reward:
    """CIDEr-D of token sequences against a training picture's references.

    Args:
        images: all training pictures; `index` below counts in them.
        tokenizer: splits references into the words that captions are made of.
    """

    def __init__(self, images: Sequence[CaptionedImage], tokenizer: CaptionTokenizer) -> None:
        self._tokenizer = tokenizer
        references = [
            [[*tokenizer.words(text), END] for text in image.references] for image in images
        ]
        self._scorer = CiderD.from_references(references)
        self._references: list[CiderReferences] = [
            self._scorer.precompute(texts) for texts in references
        ]

    def __call__(self, hypotheses: Sequence[Hypothesis], indices: Sequence[int]) -> Tensor:
        """Return the rewards, float32 `[N]` in 0..10, of one hypothesis an index."""
        words = [self._words(hypothesis.tokens) for hypothesis in hypotheses]
        references = [self._references[index] for index in indices]
        return torch.from_numpy(self._scorer.score(words, references))

    def _words(self, tokens: Sequence[int]) -> list[str]:
        words = self._tokenizer.tokens(tokens)
        # A caption that was cut at the longest length has no end, and no reward for one.
        return [*words, END] if tokens and tokens[-1] == EOS_ID else words


def collate_pixels(items: Sequence[TrainingItem]) -> dict[str, Tensor]:
    """Return `pixels` uint8 `[B, 3, H, W]` and `index` int64 `[B]`."""
    index = torch.tensor([item.index for item in items], dtype=torch.int64)
    return {"pixels": stack_pixels(items), "index": index}


def sequence_batch(groups: Sequence[Sequence[Hypothesis]]) -> tuple[Tensor, Tensor]:
    """Return `input_ids` and `labels`, int64 `[B, C, T]` each, of sampled captions."""
    captions, length = len(groups[0]), max(len(h.tokens) for group in groups for h in group)
    input_ids = torch.full((len(groups), captions, length), PAD_ID, dtype=torch.int64)
    labels = torch.full((len(groups), captions, length), IGNORED, dtype=torch.int64)
    for row, group in enumerate(groups):
        for column, hypothesis in enumerate(group):
            size = len(hypothesis.tokens)
            input_ids[row, column, :size] = torch.tensor([BOS_ID, *hypothesis.tokens[:-1]])
            labels[row, column, :size] = torch.tensor(hypothesis.tokens)
    return input_ids, labels


class ScstTrainer(CaptionTrainer):
    """`CaptionTrainer` whose loss is the self-critical policy gradient.

    Args:
        reward: scores captions of training pictures.
        no_repeat_ngram: as the model is served with.
        kwargs: `CaptionTrainer`'s own.
    """

    def __init__(self, *, reward: Reward, no_repeat_ngram: int = 0, **kwargs: Any) -> None:
        self.reward, self.no_repeat_ngram = reward, no_repeat_ngram
        self._rewards: list[tuple[float, float]] = []
        super().__init__(**kwargs)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Return `-mean((r(sample) - baseline) * log p(sample))` over samples, in nats."""
        # No dropout: the distribution that is sampled is the one that learns.
        model.eval()
        features, samples, advantage = self._roll_out(inputs)
        input_ids, labels = (part.to(features.device) for part in sequence_batch(samples))
        logits = model(input_ids=input_ids, features=features).logits.float()  # [B, C, T, V]
        if self.recipe.rollout == "sample":
            logits = logits / self.recipe.temperature
        counted = labels != IGNORED
        chosen = labels.masked_fill(~counted, EOS_ID)[..., None]
        log_probs = logits.log_softmax(-1).gather(-1, chosen)[..., 0]  # [B, C, T]
        log_prob = (log_probs * counted).sum(-1) / counted.sum(-1)  # [B, C]
        return -(advantage.to(log_prob.device) * log_prob).mean()

    def _roll_out(self, inputs: dict[str, Tensor]) -> tuple[Tensor, list[list[Hypothesis]], Tensor]:
        """Sample and reward; return trunk features, samples and advantages `[B, C]`."""
        network: CnnTransformer = self.accelerator.unwrap_model(self.model)
        count, longest = self.recipe.captions_per_image, self.recipe.max_caption_tokens
        with torch.no_grad(), self.compute_loss_context_manager():
            features = network.image_features(inputs["pixels"])
            memory = network.memory(features)
            beams = self.recipe.rollout == "beam"
            settings = SearchSettings(
                bos_id=BOS_ID,
                eos_id=EOS_ID,
                max_tokens=longest,
                num_return=count,
                num_beams=count if beams else 1,
                temperature=self.recipe.temperature,
                no_repeat_ngram=self.no_repeat_ngram,
            )
            batch, device = len(memory), memory.device
            state = network.start(memory, longest)
            if beams:
                samples = beam_search(network.step, state, batch, settings, device)
            else:
                seeds = torch.randint(2**62, (batch,)).tolist()
                samples = sample(network.step, state, batch, settings, device, seeds)
            index = inputs["index"].tolist()
            flat = [hypothesis for group in samples for hypothesis in group]
            repeated = [i for i in index for _ in range(count)]
            rewards = self.reward(flat, repeated).view(batch, count)
            if self.recipe.baseline == "greedy":
                state = network.start(memory, longest)
                greedy = beam_search(network.step, state, batch, settings.greedy(), device)
                baseline = self.reward([group[0] for group in greedy], index)[:, None]
            else:
                others = rewards.sum(1, keepdim=True) - rewards  # [B, C]
                baseline = others / max(count - 1, 1)
        self._rewards.append((rewards.mean().item(), baseline.mean().item()))
        return features, samples, rewards - baseline

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Add the mean rewards since the last entry to the log."""
        if "loss" in logs and self._rewards:
            sampled, baseline = zip(*self._rewards, strict=True)
            logs["reward"] = sum(sampled) / len(sampled)
            logs["baseline"] = sum(baseline) / len(baseline)
            self._rewards.clear()
        super().log(logs, *args, **kwargs)


def train_self_critical(
    recipe: Recipe,
    start: Path,
    data: list[DataSource],
    run: Path,
    resume: bool = False,
    max_steps: int = -1,
    image_cache: Path | None = None,
) -> Path:
    """Train and return the directory of the best model, the start included.

    Args:
        recipe: all numbers; its method and vocabulary settings are the start model's.
        start: model directory to begin with; on `resume` the run's own copy is used.
        data, run, resume, max_steps, image_cache: as in `training.train.train`.

    Raises:
        BrokenModelError: the start model cannot be loaded or cannot be trained so.
        DataError, RunError: see there.
    """
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
    session = Session(recipe, splits, network, tokenizer, metadata, run, max_steps, image_cache)
    reward = Reward([image for part in splits.train for image in part.images], tokenizer)
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
            data = [DataSource.parse(text) for text in options.data]
            start = model_directory(options.model)
        best = train_self_critical(
            recipe,
            start,
            data,
            options.out,
            options.resume,
            options.max_steps,
            options.image_cache,
        )
    except (DataError, RecipeError, RunError, BrokenModelError, ModelNotFoundError) as error:
        logger.error("%s", error)
        return 2
    logger.info("best model: %s", best)
    return 0


if __name__ == "__main__":
    sys.exit(main())
