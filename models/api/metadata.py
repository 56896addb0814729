"""`captionbox.json`: what a model directory says about itself. No torch here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.api.device import Precision
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
        metrics: scores measured in float32, e.g. `{"flickr8k/val": {"cider": 0.6}}`.
        cider_by_precision: CIDEr measured in others, e.g. `{"int8": {"flickr8k/val": 0.598}}`.
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
    metrics: dict[str, dict[str, float]] = Field(default_factory=dict)
    cider_by_precision: dict[Precision, dict[str, float]] = Field(default_factory=dict)
    git_sha: str = ""
    licence: str = ""
    source: str = ""
    notes: list[str] = Field(default_factory=list)

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
