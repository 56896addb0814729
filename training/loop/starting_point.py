"""What a run starts from: a fresh network of its method, or a model that has learnt before."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from models.api.metadata import FILE_NAME, BrokenModelError, ModelMetadata
from models.api.metadata import read as read_metadata
from models.api.preprocessing import PreprocessSpec
from models.backbones import find_backbone
from models.captioners.cnn_transformer.captioner import CnnTransformerCaptioner
from models.captioners.cnn_transformer.config import CnnTransformerConfig
from models.captioners.cnn_transformer.network import CnnTransformer
from models.captioners.cnn_transformer.presets import Preset
from models.captioners.cnn_transformer.tokenizer import (
    EOS_ID,
    NUM_NEVER_PRODUCED,
    SPECIAL_TOKENS,
    UNK_ID,
    CaptionTokenizer,
)
from models.captioners.on_torch import TorchCaptioner
from models.layers.network_protocol import TrainableNetwork
from models.registry import captioner_class
from models.store import find
from training.data.coco import DataError
from training.data.dataset import TrainingVocabulary
from training.data.splits import Splits
from training.loop import run_directory
from training.loop.run_directory import MODEL_NAME, RunError
from training.recipes.recipe import Recipe, RecipeError

logger = logging.getLogger(__name__)

_LEAST_KNOWN = 0.5
"""Share of the captions' words that a vocabulary must know: of less no sentence can be learnt."""


def model_directory(model: str) -> Path:
    """Return the directory of a model named by store tag, model directory or run folder.

    Raises:
        ModelNotFoundError: it is none of these.
    """
    for folder in (Path(model), Path(model) / MODEL_NAME):
        if (folder / FILE_NAME).is_file():
            return folder
    return find(model).path


def load_trainable(directory: Path) -> TorchCaptioner:
    """Load a model directory to train it further: its `network` is a `TrainableNetwork`.

    Raises:
        BrokenModelError: the model is damaged, or of a method that cannot be trained on.
    """
    kind = captioner_class(read_metadata(directory).method)
    if not issubclass(kind, TorchCaptioner):
        raise BrokenModelError(f"{kind.method} cannot be trained on")
    return kind.load_trainable(directory)


def build_network(
    recipe: Recipe, preset: Preset, vocab_size: int, trunk: str | None
) -> CnnTransformer:
    """Return a fresh network.

    Args:
        recipe: overrides the method's configuration.
        preset: the method's.
        vocab_size: tokens, special ones included.
        trunk: source of pretrained trunk weights, as the backbone's `load_weights` takes it.

    Raises:
        RecipeError: an override names no configuration field, or has a value that will not do.
        RunError: `trunk` cannot be read or is for another trunk.
    """
    try:
        config = CnnTransformerConfig.of(vocab_size, preset.settings(recipe.model))
    except ValueError as error:
        raise RecipeError(f"model.{error}") from error
    try:
        network = CnnTransformer(config)
    except (TypeError, ValueError) as error:  # torch's own layers check what is left
        raise RecipeError(f"model: {error}") from error
    if trunk is not None:
        name = network.config.backbone
        load_weights = find_backbone(name).load_weights
        if load_weights is None:
            raise RunError(f"--trunk {trunk}: no pretrained weights are known for {name}")
        try:
            load_weights(network.trunk, trunk)
        except Exception as error:  # safetensors, torch and transformers raise many kinds
            reason = str(error).splitlines()[0] if str(error) else repr(error)
            raise RunError(f"--trunk {trunk}: {reason}") from error
    return network


def start_afresh(
    recipe: Recipe, splits: Splits, trunk: str | None, run: Path | None
) -> tuple[CnnTransformer, CaptionTokenizer, ModelMetadata]:
    """Return a new network, its vocabulary and what its metadata will be.

    Args:
        recipe, trunk: see `build_network`.
        splits: the training captions make the vocabulary.
        run: an earlier run whose vocabulary is to be used; `None` makes one.

    Raises:
        DataError: see `make_vocabulary`.
        RecipeError: the method is not trained from nothing, or see `build_network`.
        RunError: see `build_network`.
    """
    kind = captioner_class(recipe.method)
    if not issubclass(kind, CnnTransformerCaptioner):
        raise RecipeError(
            f"{recipe.method} is not trained from nothing: give --init MODEL, one that "
            "`python -m models import` brought, say"
        )
    tokenizer = CaptionTokenizer.load(run) if run is not None else make_vocabulary(recipe, splits)
    network = build_network(recipe, kind.preset, len(tokenizer), trunk)
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
        decode=kind.preset.decode,
        vocabulary_sha256=tokenizer.vocabulary_hash(),
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        data=splits.described,
        git_sha=run_directory.git_sha(),
        source=f"python -m training.train --config {recipe.method}",
    )
    return network, tokenizer, metadata


def make_vocabulary(recipe: Recipe, splits: Splits) -> CaptionTokenizer:
    """Return a vocabulary of the training captions' words.

    Raises:
        DataError: it has no word, or so few that most of what the captions say is not in it.
    """
    names = ", ".join(part.name for part in splits.train)
    try:
        tokenizer = CaptionTokenizer.train(
            splits.captions, recipe.min_word_count, recipe.max_vocabulary
        )
    except ValueError as error:
        raise DataError(
            f"{names}: {error}: {len(splits.captions)} captions are too few for min_word_count "
            f"{recipe.min_word_count}; --set min_word_count=1 keeps every word"
        ) from error
    ids = [token for text in splits.captions for token in tokenizer.encode(text)]
    known = 1 - ids.count(UNK_ID) / len(ids)
    if known < _LEAST_KNOWN:
        limit = "" if recipe.max_vocabulary is None else f", max_vocabulary {recipe.max_vocabulary}"
        raise DataError(
            f"{names}: the vocabulary has {len(tokenizer) - len(SPECIAL_TOKENS)} words, which are "
            f"{known:.0%} of the {len(ids):,} words of the captions (min_word_count "
            f"{recipe.min_word_count}{limit}); at least {_LEAST_KNOWN:.0%} are needed: more "
            "captions, or other limits with --set"
        )
    return tokenizer


def go_on_from(
    init: Path, recipe: Recipe, splits: Splits
) -> tuple[TrainableNetwork, TrainingVocabulary, ModelMetadata]:
    """Return a trained model's network, its vocabulary and what its metadata will be.

    Raises:
        BrokenModelError: `init` is damaged or of a method that cannot be trained so.
        DataError: its vocabulary knows less than half of the captions' words.
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
        unknown = tokens.count(network.unknown_id) / max(len(tokens), 1)
        logger.info("the model's vocabulary lacks %.1f %% of the captions' words", 100 * unknown)
        if 1 - unknown < _LEAST_KNOWN:
            raise DataError(
                f"{', '.join(part.name for part in splits.train)}: the vocabulary of --init lacks "
                f"{unknown:.0%} of the captions' words; at least {_LEAST_KNOWN:.0%} must be known: "
                "train a new network on captions in another language"
            )
    metadata = began.model_copy(
        update={
            "data": [*began.data, *(d for d in splits.described if d not in began.data)],
            "scores": [],
            "notes": [],
            "git_sha": run_directory.git_sha(),
            "source": f"{began.source}, then python -m training.train --init",
        }
    )
    return network, tokenizer, metadata


def log_frequencies(tokenizer: CaptionTokenizer, captions: Iterable[str]) -> Tensor:
    """Return `log p(token)` over the training captions, float32 `[V]`; 0 for never-produced ids.

    A network that starts there begins at the entropy of single words instead of at log V, which
    saves the first few hundred steps.
    """
    counts: Counter[int] = Counter()
    for caption in captions:
        counts.update(tokenizer.encode(caption))
        counts[EOS_ID] += 1
    produced = range(NUM_NEVER_PRODUCED, len(tokenizer))
    # Every word of the vocabulary occurs, but for a user's own vocabulary one may not.
    frequencies = torch.tensor([max(counts[i], 1) for i in produced], dtype=torch.float64)
    bias = torch.zeros(len(tokenizer))
    bias[NUM_NEVER_PRODUCED:] = (frequencies / frequencies.sum()).log().float()
    return bias
