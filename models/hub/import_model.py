"""Bring a model of the hub, or of a directory in the hub's layout, into the model store.

The method is recognised by `architectures` in `config.json` (`models.registry`); the method's own
`Convert` function then writes a model directory. Nothing of a model is executed: no code from its
repository, no pickle but tensors.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from huggingface_hub.repocard import metadata_load
from safetensors import SafetensorError

from models import store
from models.api import metadata as metadata_module
from models.api.metadata import CARD_NAME
from models.checkpoints.pretrained import CONFIG_NAME, Convert, ModelImportError, read_json
from models.hub.known_models import IMPORTED_FROM, known_by_source
from models.hub.repository import HubModel
from models.registry import (
    METHODS,
    captioner_class,
    find_method,
    load_matcher,
    load_object,
    method_of_architecture,
)
from models.store import StoredModel, content_version

logger = logging.getLogger(__name__)


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
        models.api.metadata.BrokenModelError: what was converted does not load.
        ValueError: the store refuses `name`.
    """
    store.check_name(name)
    target = store.imports_folder() / f"{name} (importing)"
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
        ModelImportError, models.api.metadata.BrokenModelError: as for `import_model`.
    """
    folder = Path(source).expanduser()
    if folder.is_dir():
        if revision is not None:
            raise ModelImportError(f"{source} is a directory: it has no revision")
        method = recognise(read_json(folder / CONFIG_NAME))
        _convert(method, folder, target, f"directory {folder.resolve().name}", fetched=False)
        return
    found = HubModel.find(source, revision)
    if CONFIG_NAME not in found.files:
        raise ModelImportError(f"{found.name} has no {CONFIG_NAME}: not a model of transformers")
    # Before gigabytes are fetched.
    method = recognise(read_json(found.fetch([CONFIG_NAME]) / CONFIG_NAME))
    logger.info("%s at %s: method %s", found.name, found.sha, method)
    fetched = found.fetch(found.needed())
    _convert(method, fetched, target, f"{found.name}@{found.sha}", fetched=True)
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


def _convert(method: str, folder: Path, target: Path, origin: str, fetched: bool) -> None:
    """Convert `folder` into a model directory that loads."""
    convert: Convert = load_object(find_method(method).converter)
    try:
        metadata = convert(folder, target, fetched)
    except SafetensorError as error:  # a full disk, for one
        raise ModelImportError(f"the converted model cannot be written: {error}") from error
    card = folder / CARD_NAME
    if card.is_file():
        shutil.copyfile(card, target / CARD_NAME)
    source = f"{IMPORTED_FROM}{origin}"
    known = known_by_source(source)
    licence = _licence(card) or (known.licence if known else "")
    updated = {"source": source, "licence": licence}
    metadata_module.write(target, metadata.model_copy(update=updated))
    _check_loading(target)


def _check_loading(directory: Path) -> None:
    """Load a model directory, in no wider format than its weights are in.

    Raises:
        BrokenModelError: it does not load.
    """
    method = metadata_module.read(directory).method
    if find_method(method).kind == "captioner":
        kind = captioner_class(method)
        kind.load(directory, kind.narrowest(directory))
    else:
        load_matcher(directory)


def _licence(card: Path) -> str:
    """Return the licence that a model card's header names; empty where it names none."""
    try:
        header = metadata_load(card) or {}
    except Exception:  # YAML has errors of its own
        return ""
    licence = header.get("license_name") or header.get("license") or ""
    return licence if isinstance(licence, str) else ", ".join(map(str, licence))
