"""The BentoML model store: the only module that talks to it.

BentoML is imported when the store is asked: training from model directories does without it.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from models.api.metadata import FILE_NAME, ModelMetadata, read

logger = logging.getLogger(__name__)

_ALLOWED = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?")

_BLOCK = 1 << 20
"""Bytes read at once."""

LABEL = "captionbox.method"
"""Store label that marks our models; its value is the method's name."""


class ModelNotFoundError(LookupError):
    """No model of that name and version is in the store."""


@dataclass(frozen=True)
class StoredModel:
    """A model in the store.

    Attributes:
        name: without version.
        version: the store's version.
        path: the model's directory.
        metadata: its `captionbox.json`.
    """

    name: str
    version: str
    path: Path
    metadata: ModelMetadata

    @property
    def tag(self) -> str:
        """`name:version`."""
        return f"{self.name}:{self.version}"


_ENTRY = "model.yaml"
"""What BentoML writes into an entry: tag, labels, time."""


def check_name(name: str) -> None:
    """Raise `ValueError` unless the store can take `name` as a name or version."""
    # BentoML would lower-case a name silently, and then not find it as written.
    if not _ALLOWED.fullmatch(name):
        raise ValueError(
            f"the model store cannot take {name!r} as a name or version: use lower-case "
            "letters, digits, '-', '_' and '.', a letter or digit first and last"
        )


def imports_folder() -> Path:
    """Return where models lie while they are fetched and converted.

    On the store's file system, so that they can be moved into it.
    """
    from bentoml._internal.configuration.containers import BentoMLContainer

    return Path(BentoMLContainer.bentoml_home.get()) / "captionbox" / "imports"


def content_version(directory: Path) -> str:
    """Return a version that changes with any file of a model directory: 12 hexadecimal digits."""
    digest = hashlib.sha256()
    for path in _files(directory):
        digest.update(path.relative_to(directory).as_posix().encode())
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()[:12]


def _files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file())


def install(
    directory: Path, name: str, version: str | None = None, move: bool = False
) -> StoredModel:
    """Copy a model directory into the store.

    Args:
        directory: `save_pretrained` layout plus `captionbox.json`.
        name: name to serve it under; lower-case letters, digits, `-`, `_` and `.`.
        version: fixed version; by default the store makes a fresh one.
        move: move the files instead, which takes neither time nor space.

    Returns:
        The stored model. With a fixed version that is already there, that one, unchanged.

    Raises:
        models.api.metadata.BrokenModelError: `directory` is no Captionbox model.
        ValueError: `name` or `version` is not allowed by the store.
    """
    import bentoml
    from bentoml.exceptions import BentoMLException

    metadata = read(directory)
    for part in filter(None, (name, version)):
        check_name(part)
    tag = f"{name}:{version}" if version else name
    if version is not None:
        with contextlib.suppress(ModelNotFoundError):
            return find(tag)
    try:
        with bentoml.models.create(
            tag,
            labels={LABEL: metadata.method},
            metadata={"parameters": metadata.parameters, "git_sha": metadata.git_sha},
        ) as model:
            pass  # BentoML would copy what lay in here once more
    except BentoMLException as error:
        raise ValueError(f"the model store refused {tag!r}: {error}") from error
    try:
        _fill(Path(bentoml.models.get(model.tag).path), directory, move)
    except BaseException:
        bentoml.models.delete(model.tag)
        raise
    logger.info("installed %s", model.tag)
    return find(str(model.tag))


def _fill(stored: Path, directory: Path, move: bool) -> None:
    """Bring a model directory's files into the store's; what makes them a model comes last."""
    for item in sorted(_files(directory), key=lambda path: path.name == FILE_NAME):
        if item == directory / _ENTRY:
            continue  # of the entry that this directory has come from: this one has its own
        target = stored / item.relative_to(directory)
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.move if move else shutil.copy2)(item, target)


def find(tag: str) -> StoredModel:
    """Return the model of a tag; `name` alone means its newest version.

    Raises:
        ModelNotFoundError: there is none.
        models.api.metadata.BrokenModelError: it is there but damaged.
    """
    import bentoml
    from bentoml.exceptions import BentoMLException, NotFound

    try:
        model = bentoml.models.get(tag)
    except (NotFound, BentoMLException, ValueError) as error:
        raise ModelNotFoundError(
            f"no model {tag!r} in the BentoML model store; `python -m models list` shows what "
            "is there, `python -m models install-default` installs `compact`"
        ) from error
    path = Path(model.path)
    return StoredModel(model.tag.name, str(model.tag.version), path, read(path))


def list_models() -> list[StoredModel]:
    """Return our models in the store, newest first; models of others are left out."""
    import bentoml

    models = [model for model in bentoml.models.list() if LABEL in model.info.labels]
    models.sort(key=lambda model: model.info.creation_time, reverse=True)
    return [find(str(model.tag)) for model in models]
