"""The loss of self-critical sequence training (Rennie et al. 2017): CIDEr-D as a reward.

Each picture's captions are drawn, or searched by beams (Cornia et al. 2020), scored with CIDEr-D
against its references and reinforced by how much they beat a baseline: the greedy caption, or the
mean of the picture's other captions (Luo 2020). Document frequencies come from the training
captions. The end token counts as a word in every n-gram: without it, captions learn to stop at
"... of a", which then costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from models.captioners.cnn_transformer.network import CnnTransformer
from models.captioners.cnn_transformer.tokenizer import BOS_ID, EOS_ID, PAD_ID, CaptionTokenizer
from models.decoding.protocol import Hypothesis, SearchSettings
from models.layers.network_protocol import IGNORED
from models.runtimes.torch.search import beam_search, sample
from training.data.coco import CaptionedImage
from training.data.dataset import TrainingItem, stack_pictures
from training.loop.trainer import CaptionTrainer
from training.metrics.cider_d import CiderD, CiderReferences

END = "</s>"


class Reward:
    """CIDEr-D of token sequences against a training picture's references.

    Args:
        parts: the pictures of each training data set; `indices` below count in all of them, laid
            end to end. What is rare is counted in each by itself, as its validation does: "dog" is
            no news in a set of dogs.
        tokenizer: splits references into the words that captions are made of.
    """

    def __init__(
        self, parts: Sequence[Sequence[CaptionedImage]], tokenizer: CaptionTokenizer
    ) -> None:
        self._tokenizer = tokenizer
        self._scorers: list[CiderD] = []
        self._references: list[tuple[int, CiderReferences]] = []
        for part, images in enumerate(parts):
            references = [
                [[*tokenizer.words(text), END] for text in image.references] for image in images
            ]
            scorer = CiderD.from_references(references)
            self._scorers.append(scorer)
            self._references += [(part, scorer.precompute(texts)) for texts in references]

    def __call__(self, hypotheses: Sequence[Hypothesis], indices: Sequence[int]) -> Tensor:
        """Return the rewards, float32 `[N]` in 0..10, of one hypothesis an index."""
        rewards = torch.empty(len(indices))
        for place, (hypothesis, index) in enumerate(zip(hypotheses, indices, strict=True)):
            part, references = self._references[index]
            words = self._words(hypothesis.tokens)
            rewards[place] = float(self._scorers[part].score([words], [references])[0])
        return rewards

    def _words(self, tokens: Sequence[int]) -> list[str]:
        words = self._tokenizer.tokens(tokens)
        # A caption that was cut at the longest length has no end, and no reward for one.
        return [*words, END] if tokens and tokens[-1] == EOS_ID else words


def collate_pixels(items: Sequence[TrainingItem]) -> dict[str, Tensor]:
    """Return `pixels` or `features` as `stack_pictures`, and `index` int64 `[B]`."""
    index = torch.tensor([item.index for item in items], dtype=torch.int64)
    return {**stack_pictures(items), "index": index}


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


def extremes(
    groups: list[list[Hypothesis]], advantage: Tensor, count: int
) -> tuple[list[list[Hypothesis]], Tensor]:
    """Return `count` samples a picture, the best first, then the worst, and their advantages.

    Args:
        groups: C samples a picture.
        advantage: `[B, C]`.
        count: 0, or C and more, returns all as they are.
    """
    samples = advantage.shape[1]
    if not 0 < count < samples:
        return groups, advantage
    best = (count + 1) // 2
    order = advantage.argsort(1, descending=True)
    kept = torch.cat((order[:, :best], order[:, samples - (count - best) :]), 1)
    chosen = [[group[i] for i in row] for group, row in zip(groups, kept.tolist(), strict=True)]
    return chosen, advantage.gather(1, kept)


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
            kept = inputs.get("features")
            features = (
                network.image_features(inputs["pixels"])
                if kept is None
                else kept.to(network.memory_dtype)
            )
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
        samples, advantage = extremes(samples, rewards - baseline, self.recipe.reinforced)
        return features, samples, advantage

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Add the mean rewards since the last entry to the log."""
        if "loss" in logs and self._rewards:
            sampled, baseline = zip(*self._rewards, strict=True)
            logs["reward"] = sum(sampled) / len(sampled)
            logs["baseline"] = sum(baseline) / len(baseline)
            self._rewards.clear()
        super().log(logs, *args, **kwargs)
