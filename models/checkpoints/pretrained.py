"""What the methods' converters share: reading a hub model, and why it cannot be imported."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

from models.api.metadata import ModelMetadata


class ModelImportError(ValueError):
    """A model cannot be imported. The message is one sentence for people."""


class HubUnreachableError(ModelImportError):
    """The hub does not answer, or not to the end. Another day the same import may succeed."""


CONFIG_NAME = "config.json"

_SAFETENSORS = ("model.safetensors", "model-*-of-*.safetensors")
"""What transformers reads first: one file, else parts with an index."""
_INDEX = "model.safetensors.index.json"


class Convert(Protocol):
    """Converts a hub model to a model directory."""

    def __call__(self, source: Path, target: Path, /, fetched: bool = False) -> ModelMetadata:
        """Write weights (safetensors) and whatever else the method loads.

        Args:
            source: `save_pretrained` layout, as it is on the hub.
            target: an existing, empty folder.
            fetched: `source` was made for this import, so that weights in it may be linked instead
                of copied.

        Returns:
            For `captionbox.json`; source and licence are the caller's to add, and the card.

        Raises:
            ModelImportError: it cannot be done.
        """


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ModelImportError: the file is missing, is not JSON or holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelImportError(f"there is no {path.name}: not a model of transformers") from None
    except (OSError, ValueError) as error:
        raise ModelImportError(f"{path.name} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise ModelImportError(f"{path.name}: the top level must be an object")
    return content


def load_pretrained(kind: Any, directory: Path, may_miss: Iterable[str] = ()) -> Any:
    """Load a transformers model from a directory, whole and safely, in its own precision.

    Args:
        kind: the model's class.
        directory: `config.json` and weights, safetensors or `torch.save`d tensors.
        may_miss: beginnings of names of weights that the method does not use.

    Raises:
        ModelImportError: weights are missing, of wrong shapes, damaged, or more than tensors.
    """
    try:
        model, report = kind.from_pretrained(
            directory,
            dtype="auto",
            local_files_only=True,
            trust_remote_code=False,
            weights_only=True,
            output_loading_info=True,
        )
    except Exception as error:  # torch, safetensors and transformers raise many kinds
        raise ModelImportError(f"the weights cannot be read: {error}") from error
    missing = [name for name in report["missing_keys"] if not name.startswith(tuple(may_miss))]
    if missing:
        raise ModelImportError(
            f"{len(missing)} weights are missing, {sorted(missing)[0]} for one: the files are "
            "incomplete or of another architecture"
        )
    return model


def save_network(network: Any, source: Path, target: Path, fetched: bool) -> None:
    """Write a transformers network that was loaded from `source`, unchanged, into `target`.

    Weights that are safetensors there are taken as they are: linked where they were fetched for
    this import, copied where they are somebody's own. Others are converted.

    Args:
        network: as it was loaded.
        source, target, fetched: as a `Convert` has them.
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
        # What huggingface_hub's cache had is but a link in `source`.
        _take(file.resolve(), target / file.name, fetched and not file.is_symlink())


def _take(file: Path, target: Path, link: bool) -> None:
    if link:
        with contextlib.suppress(OSError):  # another file system, or one without hard links
            target.hardlink_to(file)
            return
    shutil.copyfile(file, target)
