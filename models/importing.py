"""Bring a model of the hub, or of a directory in the hub's layout, into the model store.

The method is recognised by `architectures` in `config.json` (`models.catalogue`); the method's own
`Convert` function then writes a model directory. Nothing of a model is executed: no code from its
repository, no pickle but tensors.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from huggingface_hub.repocard import metadata_load
from safetensors import SafetensorError

from models import metadata as metadata_module
from models import store
from models.catalogue import (
    METHODS,
    find_method,
    load_any,
    load_object,
    method_of_architecture,
)
from models.hub import HubModel
from models.import_error import ModelImportError
from models.metadata import CARD_NAME, ModelMetadata
from models.store import StoredModel, content_version

logger = logging.getLogger(__name__)

CONFIG_NAME = "config.json"

Convert = Callable[[Path, Path], ModelMetadata]
"""Converts a hub model: reads the directory given first, writes weights (safetensors) and whatever
else the method loads into the one given second, returns the metadata. `source` and `licence` are
filled in later, and the card is kept. Raises `ModelImportError` if it cannot be done."""


def import_model(
    source: str,
    name: str,
    revision: str | None = None,
    finish: Callable[[Path], None] = lambda directory: None,
) -> StoredModel:
    """Fetch, convert, check and install a model.

    Args:
        source: a hub id (`owner/model`) or a directory in the hub's layout.
        name: name to serve it under.
        revision: branch, tag or commit of the hub's repository; the main branch by default.
        finish: called with the model directory before it is stored.

    Returns:
        The stored model. The same files give the same version.

    Raises:
        ModelImportError: it cannot be fetched, is no model of a method of ours, or is damaged.
        models.metadata.BrokenModelError: what was converted does not load.
        ValueError: the store refuses `name`.
    """
    store.check_name(name)
    target = store.imports_folder() / f"{name} (converted)"  # which is no hub id
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    try:
        prepare(source, target, revision)
        finish(target)
        return store.install(target, name, content_version(target), move=True)
    finally:
        shutil.rmtree(target, ignore_errors=True)


def prepare(source: str, target: Path, revision: str | None = None) -> None:
    """Fetch, convert and check a captioner; write a model directory.

    Args:
        source, revision: as for `import_model`.
        target: an empty directory.

    Raises:
        ModelImportError, models.metadata.BrokenModelError: as for `import_model`.
    """
    folder = Path(source).expanduser()
    if folder.is_dir():
        if revision is not None:
            raise ModelImportError(f"{source} is a directory: it has no revision")
        method = recognise(read_json(folder / CONFIG_NAME))
        _convert(method, folder, target, f"directory {folder.resolve().name}")
        return
    found = HubModel.find(source, revision)
    if CONFIG_NAME not in found.files:
        raise ModelImportError(f"{found.name} has no {CONFIG_NAME}: not a model of transformers")
    # Before gigabytes are fetched.
    method = recognise(read_json(found.fetch([CONFIG_NAME]) / CONFIG_NAME))
    logger.info("%s at %s: method %s", found.name, found.sha, method)
    _convert(method, found.fetch(found.needed()), target, f"{found.name}@{found.sha}")
    found.discard()


def recognise(config: dict[str, Any]) -> str:
    """Return the method that imports a model with this `config.json`.

    Raises:
        ModelImportError: none does.
    """
    names = config.get("architectures") or []
    if not isinstance(names, list) or not names:
        raise ModelImportError(f"{CONFIG_NAME} names no architecture: not a captioner")
    method = method_of_architecture(names[0])
    if method is not None:
        return method
    if "auto_map" in config:
        raise ModelImportError(
            f"the architecture {names[0]!r} needs code from the model's repository (`auto_map` in "
            f"{CONFIG_NAME}), and no code of models is ever run here"
        )
    known = sorted(name for entry in METHODS.values() for name in entry.architectures)
    raise ModelImportError(
        f"the architecture {names[0]!r} is none that can be imported; those that "
        f"can: {', '.join(known)}"
    )


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


def _convert(method: str, folder: Path, target: Path, origin: str) -> None:
    """Convert `folder` into a model directory that loads."""
    convert: Convert = load_object(find_method(method).converter)
    try:
        metadata = convert(folder, target)
    except SafetensorError as error:  # a full disk, for one
        raise ModelImportError(f"the converted model cannot be written: {error}") from error
    card = folder / CARD_NAME
    if card.is_file():
        shutil.copyfile(card, target / CARD_NAME)
    updated = {"source": f"imported from {origin}", "licence": _licence(card)}
    metadata_module.write(target, metadata.model_copy(update=updated))
    load_any(target)


def _licence(card: Path) -> str:
    """Return the licence that a model card's header names; empty where it names none."""
    try:
        header = metadata_load(card) or {}
    except Exception:  # YAML has errors of its own
        return ""
    licence = header.get("license_name") or header.get("license") or ""
    return licence if isinstance(licence, str) else ", ".join(map(str, licence))
