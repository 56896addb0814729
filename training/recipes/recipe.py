"""A training recipe: every number of a run that is not the network's own.

The recipes are the JSON files beside this one, found by their names. To add one, write a file.
"""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

_FOLDER = Path(__file__).parent


class RecipeError(ValueError):
    """A recipe or an override is wrong; the message names the field."""


class Augmentation(BaseModel):
    """Random changes of training pictures.

    Attributes:
        flip: probability of a left-right mirror image, 0..1.
        min_crop: smallest share of the picture's area that a random crop keeps; 1 never crops.
        rotate: largest rotation either way, in turns (0.2 is 72 degrees).
        brightness: largest relative change of brightness, 0..1.
        contrast: largest relative change of contrast, 0..1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    flip: Annotated[float, Field(ge=0, le=1)] = 0.0
    min_crop: Annotated[float, Field(gt=0, le=1)] = 1.0
    rotate: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    brightness: Annotated[float, Field(ge=0, lt=1)] = 0.0
    contrast: Annotated[float, Field(ge=0, lt=1)] = 0.0


class Recipe(BaseModel):
    """How to train a method.

    Attributes:
        about: what it is a recipe of, in a sentence.
        why: field name to why it has its value.
        method: name in `models.registry`.
        model: overrides of the network's configuration.
        min_word_count: words seen fewer times in the training captions are unknown.
        max_vocabulary: largest vocabulary, special tokens included.
        max_caption_tokens: longer training captions are cut.
        epochs: passes over the training pictures.
        batch_images: pictures an optimiser step sees per process and accumulation step.
        captions_per_image: captions drawn per picture and pass; all of them if it has fewer.
        accumulate: accumulation steps per optimiser step.
        learning_rate: peak, for everything but the trunk.
        trunk_learning_rate: peak, for the trunk.
        decoder_learns: which weights of the decoder learn: all, or only those of the layers by
            which it looks at the picture. The trunk goes by `trunk_learning_rate`.
        frozen_epochs: passes at the start during which the trunk stands still.
        schedule: what the rate does after warm-up.
        warmup: share of all steps during which the rate rises, 0..1.
        weight_decay: AdamW's, on matrices only. 0 with `beta2` 0.999 is plain Adam.
        beta2: Adam's second-moment decay.
        max_grad_norm: gradients are scaled down to this norm.
        label_smoothing: 0..1.
        average: decay per step of the moving average of the weights, which is then what is
            validated and kept; 0 keeps the weights themselves.
        augmentation: of training pictures.
        feature_views: of a trunk that stands still: so many randomly changed versions of each
            picture are encoded once and shown in turn; 0 encodes a new one in every pass.
        baseline: of self-critical training: the greedy caption's reward, or the mean reward of the
            picture's other samples.
        rollout: of self-critical training: captions drawn from the tempered distribution, or the
            hypotheses of a beam search as wide (Cornia et al. 2020), which are the captions that
            serving chooses between.
        reinforced: of self-critical training: how many of a picture's samples learn, from the best
            and the worst inwards, which say most; 0 takes all.
        temperature: of drawn captions; the tempered distribution is also the one that learns.
        max_unreadable: share of a data set's pictures that may be missing or damaged, 0..1: they
            are named and left out. More fail the run.
        early_stopping: stop after so many validations without a better CIDEr; 0 never.
        seed: of initialisation, order, dropout and augmentation.
        bf16: mixed precision; `auto` where the processor has it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    about: str = ""
    why: dict[str, str] = Field(default_factory=dict)
    method: str
    model: dict[str, Any] = Field(default_factory=dict)
    min_word_count: Annotated[int, Field(ge=1)] = 1
    max_vocabulary: Annotated[int | None, Field(ge=5)] = None
    max_caption_tokens: Annotated[int, Field(ge=4, le=64)] = 40
    epochs: Annotated[float, Field(gt=0)] = 20
    batch_images: Annotated[int, Field(ge=1)] = 32
    captions_per_image: Annotated[int, Field(ge=1)] = 5
    accumulate: Annotated[int, Field(ge=1)] = 1
    learning_rate: Annotated[float, Field(gt=0)] = 4e-4
    trunk_learning_rate: Annotated[float, Field(ge=0)] = 4e-5
    decoder_learns: Literal["all", "cross-attention"] = "all"
    frozen_epochs: Annotated[float, Field(ge=0)] = 0
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.05
    weight_decay: Annotated[float, Field(ge=0)] = 0.05
    beta2: Annotated[float, Field(gt=0, lt=1)] = 0.98
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    average: Annotated[float, Field(ge=0, lt=1)] = 0.0
    augmentation: Augmentation = Augmentation()
    feature_views: Annotated[int, Field(ge=0)] = 0
    baseline: Literal["greedy", "others"] = "greedy"
    rollout: Literal["sample", "beam"] = "sample"
    reinforced: Annotated[int, Field(ge=0)] = 0
    temperature: Annotated[float, Field(gt=0, le=5)] = 1.0
    max_unreadable: Annotated[float, Field(ge=0, le=1)] = 0.01
    early_stopping: Annotated[int, Field(ge=0)] = 0
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 1
    bf16: Literal["auto", "on", "off"] = "auto"

    @model_validator(mode="after")
    def _explains_its_own_fields(self) -> Self:
        for name in self.why:
            if name not in type(self).model_fields:
                raise ValueError(f"why explains {name!r}, which is no field of a recipe")
        return self


def recipe_names() -> list[str]:
    """Return the names of the recipes that come with this code, in alphabetical order."""
    return sorted(path.stem for path in _FOLDER.glob("*.json"))


def load_recipe(name_or_file: str, overrides: list[str] | None = None) -> Recipe:
    """Return a recipe by name or from a JSON file, with overrides applied.

    Args:
        name_or_file: one of `recipe_names`, or the path of a `.json` file with `Recipe`'s fields.
        overrides: `key=value` each; `augmentation.flip=0.5` and `model.d_model=256` reach inside.
            Values are JSON where they parse as such, else text.

    Raises:
        RecipeError: no such recipe, or a field is unknown or out of range.
    """
    known = recipe_names()
    path = _FOLDER / f"{name_or_file}.json" if name_or_file in known else Path(name_or_file)
    if path.suffix != ".json" or not path.is_file():
        raise RecipeError(f"no recipe {name_or_file!r}; known: {', '.join(known)}, or a .json file")
    content = _read(path)
    for override in overrides or []:
        _apply(content, override)
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise RecipeError(_sentence(error)) from error


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecipeError(f"{path}: not JSON: {error}") from error
    if not isinstance(content, dict):
        raise RecipeError(f"{path}: the top level must be an object")
    return content


def _sentence(error: ValidationError) -> str:
    """Return what is wrong with the first wrong field, and which one that is."""
    first = error.errors()[0]
    parts = [str(part) for part in first["loc"]]
    where = ".".join(parts)
    if first["type"] == "missing":
        return f"{where}: the recipe lacks this field"
    if first["type"] == "extra_forbidden":
        fields = (Augmentation if parts[0] == "augmentation" else Recipe).model_fields
        close = difflib.get_close_matches(parts[-1], fields, 1)
        meant = f"; did you mean {close[0]}?" if close else ""
        return f"{where}: a recipe has no such field{meant}"
    message = first["msg"].removeprefix("Value error, ")
    return f"{where}: {message}, got {first['input']!r:.80}" if where else message


def _apply(content: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator:
        raise RecipeError(f"an override is key=value, got {override!r}")
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    *parents, last = key.strip().split(".")
    target: Any = content
    for parent in parents:
        target = target.setdefault(parent, {}) if isinstance(target, dict) else None
    if not isinstance(target, dict):
        raise RecipeError(f"{key}: nothing to set there")
    target[last] = value
