"""How a trained network becomes a model directory, and its README: the model card."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from models.api import metadata as metadata_module
from models.api.measured import Measured
from models.api.metadata import ModelMetadata
from models.layers.network_protocol import TrainableNetwork
from training.data.dataset import TrainingVocabulary
from training.metrics.scores import METRICS, Metric

_OURS = "library_name: captionbox"


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


def is_ours(text: str) -> bool:
    """Whether a card was written by `card`, and not by the authors of an imported model."""
    return _OURS in text


def card(metadata: ModelMetadata) -> str:
    """Return the model card as Markdown; every number in it comes from `metadata`."""
    lines = [
        "---",
        "pipeline_tag: image-to-text",
        _OURS,
        *([f"license: {metadata.licence}"] if metadata.licence else []),
        "---",
        "",
        f"# Captionbox `{metadata.method}`",
        "",
        f"An image captioner of {metadata.parameters / 1e6:.1f} million parameters, trained with "
        "Captionbox.",
        "",
        "## Data",
        "",
        *[f"- {entry}" for entry in metadata.data],
        "",
        "## Recipe",
        "",
        f"`{metadata.source}`" + (f" at commit {metadata.git_sha}" if metadata.git_sha else ""),
        "",
    ]
    if metadata.scores:
        lines += ["## Scores", "", "By pycocoevalcap's scorers.", ""]
        for how, measured in _by_conditions(metadata.scores).items():
            lines += [how[:1].upper() + how[1:] + ":", "", *_table(measured)]
    if metadata.notes:
        lines += ["## Notes", "", *[f"- {note}" for note in metadata.notes], ""]
    return "\n".join(lines)


def _by_conditions(scores: Sequence[Measured]) -> dict[str, dict[str, dict[str, float]]]:
    """Return scores by how they were measured and by where."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for one in scores:
        found.setdefault(one.conditions.how, {})[one.conditions.where] = one.scores
    return found


def _table(metrics: dict[str, dict[str, float]]) -> list[str]:
    measured = dict.fromkeys(key for scores in metrics.values() for key in scores)
    # A score that another version of this code has measured is told by its key.
    columns = {key: METRICS[key] for key in METRICS if key in measured} | {
        key: Metric(key, "", None, True) for key in measured if key not in METRICS
    }
    names = [metric.name for metric in columns.values()]
    lines = ["| split | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for split, scores in metrics.items():
        cells = [m.text(scores[key]) if key in scores else "" for key, m in columns.items()]
        lines.append(f"| {split} | " + " | ".join(cells) + " |")
    return [*lines, ""]
