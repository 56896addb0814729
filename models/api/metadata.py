"""`captionbox.json`: what a model directory says about itself. No torch here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from models.api.device import Precision
from models.api.measured import Conditions, Measured
from models.api.options import DecodeDefaults, OptionName
from models.api.preprocessing import PreprocessSpec

FILE_NAME = "captionbox.json"
CARD_NAME = "README.md"


class BrokenModelError(ValueError):
    """A model directory is incomplete, damaged, or its files do not fit together."""


class ModelMetadata(BaseModel):
    """Contents of `captionbox.json`; together with the weights it is all that serving needs.

    Attributes:
        method: name in `models.registry`.
        preprocess: how pictures reach the network.
        decode: the model's default decoding settings.
        vocabulary_sha256: `vocabulary_hash` of the tokenizer's words; checked at load.
        options: the options that this model honours, where they are fewer than its method's.
        parameters: number of weights.
        data: what it was trained on, one entry a data set.
        scores: of these weights, each with how it was measured.
        git_sha: commit of the code that trained it, with `-dirty` where that holds.
        licence: SPDX name or a sentence.
        source: hub id and revision, or the command that trained it.
        notes: what a user should know before relying on it, a sentence each.
    """

    model_config = ConfigDict(extra="forbid")

    method: str
    preprocess: PreprocessSpec
    decode: DecodeDefaults = DecodeDefaults()
    vocabulary_sha256: str = ""
    options: list[OptionName] | None = None
    parameters: int = 0
    data: list[str] = Field(default_factory=list)
    scores: list[Measured] = Field(default_factory=list)
    git_sha: str = ""
    licence: str = ""
    source: str = ""
    notes: list[str] = Field(default_factory=list)

    @model_validator(mode="before")
    @classmethod
    def _older_record(cls, content: Any) -> Any:
        """Read the `metrics` and `cider_by_precision` that records had before conditions."""
        if not isinstance(content, dict) or not _OLDER & content.keys():
            return content
        content = dict(content)
        metrics, ciders = (content.pop(name, {}) for name in ("metrics", "cider_by_precision"))
        try:
            older: list[Any] = list(content.get("scores", []))
            older += [_measured(data, "fp32", scores) for data, scores in metrics.items()]
            for precision, by_data in ciders.items():
                older += [_measured(data, precision, {"cider": c}) for data, c in by_data.items()]
        except (AttributeError, TypeError):
            raise ValueError("scores must be objects, by data set") from None
        return {**content, "scores": older}

    @property
    def metrics(self) -> dict[str, dict[str, float]]:
        """The scores in float32 by data set; of several those with the model's own beam width.

        Of several such the latest.
        """
        own = (None, self.decode.num_beams)
        ranked = sorted(self.scores, key=lambda one: one.conditions.num_beams in own)
        return {
            one.conditions.data: one.scores for one in ranked if one.conditions.precision == "fp32"
        }

    def measured_in(self, precision: Precision, metric: str) -> dict[Conditions, float]:
        """Return a metric measured in a number format, by all other conditions.

        What was measured in two formats has the same key in both.
        """
        return {
            one.conditions.computing_in("fp32"): one.scores[metric]
            for one in self.scores
            if one.conditions.precision == precision and metric in one.scores
        }

    def with_scores(self, measured: Measured) -> Self:
        """Return the metadata with these scores, in place of earlier ones of like conditions."""
        others = [one for one in self.scores if one.conditions != measured.conditions]
        return self.model_copy(update={"scores": [*others, measured]})

    def honoured(self, supported: frozenset[OptionName]) -> frozenset[OptionName]:
        """Return the options that the model honours, of those that its method supports."""
        return supported if self.options is None else supported & frozenset(self.options)

    def check_vocabulary(self, found: str) -> None:
        """Do nothing if `found` is the `vocabulary_hash` that the model was made with, if any.

        Raises:
            BrokenModelError: it is another.
        """
        if self.vocabulary_sha256 and self.vocabulary_sha256 != found:
            raise BrokenModelError("the tokenizer is not the vocabulary this model learnt with")


_OLDER = {"metrics", "cider_by_precision"}


def _measured(data: str, precision: str, scores: Any) -> dict[str, Any]:
    return {"conditions": {"data": data, "precision": precision}, "scores": scores}


def vocabulary_hash(words: Iterable[str]) -> str:
    """Return the SHA-256 of a vocabulary's words in id order, as hexadecimal digits."""
    return hashlib.sha256("\n".join(words).encode()).hexdigest()


def read(directory: Path) -> ModelMetadata:
    """Read `captionbox.json` of a model directory.

    Raises:
        BrokenModelError: there is no such file or its content is wrong.
    """
    path = directory / FILE_NAME
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BrokenModelError(f"{FILE_NAME} is missing: not a Captionbox model") from None
    except (OSError, ValueError) as error:
        raise BrokenModelError(f"{FILE_NAME} cannot be read: {error}") from error
    try:
        return ModelMetadata.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the document"
        raise BrokenModelError(f"{FILE_NAME}: {where}: {first['msg']}") from error


def write(directory: Path, metadata: ModelMetadata) -> None:
    """Write `captionbox.json` into a model directory."""
    text = metadata.model_dump_json(indent=2)
    (directory / FILE_NAME).write_text(text + "\n", encoding="utf-8")
