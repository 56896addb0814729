"""Weights of a hub model in the layout of ours, without writing them twice."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import Any

from models import store

_SAFETENSORS = ("model.safetensors", "model-*-of-*.safetensors")
"""What transformers reads first: one file, else parts with an index."""
_INDEX = "model.safetensors.index.json"


def save_network(network: Any, source: Path, target: Path) -> None:
    """Write a transformers network that was loaded from `source`, unchanged, into `target`.

    Weights that are safetensors there are taken as they are: linked where an import has fetched
    them, copied where they are somebody's own. Others are converted.
    """
    single, parts = (sorted(source.glob(pattern)) for pattern in _SAFETENSORS)
    files = single or [*parts, source / _INDEX]
    if not files[0].is_file() or files == [source / _INDEX]:
        network.save_pretrained(target)
        return
    network.config.save_pretrained(target)
    if network.can_generate():
        network.generation_config.save_pretrained(target)
    for file in files:
        _take(file.resolve(), target / file.name)


def _take(file: Path, target: Path) -> None:
    if file.is_relative_to(store.imports_folder().resolve()):
        with contextlib.suppress(OSError):  # another file system, or one without hard links
            target.hardlink_to(file)
            return
    shutil.copyfile(file, target)
