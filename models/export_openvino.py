"""Give a model in the store graphs for OpenVINO: a new version of it, with the same weights."""

from __future__ import annotations

import logging
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from models import store
from models.api import metadata as metadata_module
from models.api.device import BackendError, Precision
from models.registry import captioner_class, find_method
from models.runtimes.openvino.files import FOLDER, WEIGHTS
from models.runtimes.pictures import draw_pictures, read_pictures
from models.store import ModelNotFoundError, StoredModel, content_version

logger = logging.getLogger(__name__)

_VERSION = 1
"""Of the graphs: another number has those of the default model made anew."""


def export_model(
    tag: str, weights: tuple[Precision, ...] = WEIGHTS, pictures: Path | None = None
) -> StoredModel:
    """Write graphs of a stored model, check them, and store them with it.

    Args:
        tag: name or `name:version`.
        weights: number formats to write.
        pictures: a folder of pictures like those to be captioned, which the ranges of int8
            activations are taken from; drawn ones by default.

    Raises:
        BackendError: the model's method has no graphs, or what makes them is not installed, or they
            do not compute what the model does.
        models.store.ModelNotFoundError: no such model is in the store.
        models.api.metadata.BrokenModelError: it is damaged.
        ValueError: the pictures cannot be read.
    """
    model = store.find(tag)
    with tempfile.TemporaryDirectory(prefix="captionbox-openvino-") as temporary:
        target = Path(temporary)
        _link(model.path, target)
        add_graphs(target, weights, pictures)
        return store.install(target, model.name, content_version(target))


def install_with_graphs(directory: Path, name: str) -> StoredModel:
    """Store a model directory with float32 graphs, which are made unless they are there already.

    Args:
        directory: the model's.
        name: to serve it under.

    Returns:
        The stored model; the same directory gives the same version.

    Raises:
        BackendError, models.api.metadata.BrokenModelError: as for `export_model`.
    """
    version = f"{content_version(directory)}-graphs{_VERSION}"
    with suppress(ModelNotFoundError):
        return store.find(f"{name}:{version}")
    logger.info("%s: making its graphs for this machine's processor; half a minute, once", name)
    with tempfile.TemporaryDirectory(prefix="captionbox-openvino-") as temporary:
        target = Path(temporary)
        _link(directory, target)
        add_graphs(target, ("fp32",))
        return store.install(target, name, version)


def _link(directory: Path, target: Path) -> None:
    """Bring a model directory's files, but no graphs, into another directory."""
    for item in directory.iterdir():
        if item.name != FOLDER:
            (target / item.name).symlink_to(item.resolve())


def add_graphs(
    directory: Path, weights: tuple[Precision, ...] = WEIGHTS, pictures: Path | None = None
) -> None:
    """Write graphs into a model directory of any method and check them.

    Args:
        directory: the model's.
        weights, pictures: as for `export_model`.

    Raises:
        BackendError, models.api.metadata.BrokenModelError, ValueError: as for `export_model`.
    """
    metadata = metadata_module.read(directory)
    if not find_method(metadata.method).openvino:
        raise BackendError(f"the method {metadata.method!r} has no graphs for OpenVINO")
    spec = metadata.preprocess
    seen = read_pictures(pictures, spec) if pictures else draw_pictures(spec.height, spec.width)
    # Only here: it brings torch, which to find graphs that are there needs none of.
    from models.runtimes.openvino.export import export

    # A method that has graphs is a `TorchCaptioner`.
    kind: Any = captioner_class(metadata.method)
    captioner = kind.load_trainable(directory)
    export(captioner.network, captioner.parts(), directory, weights, seen)
