"""The served captioners as Ollama lists and describes models. Matchers write no text: none is."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from models.store import StoredModel
from serving.api.ollama.request import latest
from serving.contract import run_record
from serving.contract.served_models import ServedModels

CAPABILITIES = ("completion", "vision")

_FORMAT = "captionbox"
_LOADED_FOR = timedelta(days=365)
"""How long a model stays loaded, from any moment on: as long as the server runs."""


def tags(models: ServedModels) -> dict[str, Any]:
    """Return the answer of `GET /api/tags`."""
    return {"models": [_entry(model) for model in models.captioners()]}


def running(models: ServedModels) -> dict[str, Any]:
    """Return the answer of `GET /api/ps`: every served model is loaded all the time."""
    until = (datetime.now(UTC) + _LOADED_FOR).isoformat(timespec="seconds")
    loaded = [{**_entry(model), "expires_at": until} for model in models.captioners()]
    return {"models": [{**entry, "size_vram": 0} for entry in loaded]}


def shown(model: StoredModel) -> dict[str, Any]:
    """Return the answer of `POST /api/show`."""
    about = model.metadata
    defaults = about.decode.model_dump(exclude_none=True)
    return {
        "license": about.licence,
        "modelfile": f"FROM {model.tag}",
        "parameters": "\n".join(f"{name} {value}" for name, value in defaults.items()),
        "template": "{{ .Prompt }}",
        "details": _details(model),
        "model_info": {
            "general.architecture": about.method,
            "general.basename": model.name,
            "general.file_type": 0,
            "general.parameter_count": about.parameters,
            "general.type": "model",
            f"{about.method}.vision.image_size": about.preprocess.height,
        },
        "capabilities": list(CAPABILITIES),
        "modified_at": _modified(model),
    }


def _entry(model: StoredModel) -> dict[str, Any]:
    return {
        "name": latest(model),
        "model": latest(model),
        "modified_at": _modified(model),
        "size": _size(model.path),
        # Not of its bytes, but as unique: a version in the store never changes.
        "digest": hashlib.sha256(model.tag.encode()).hexdigest(),
        "details": _details(model),
    }


def _details(model: StoredModel) -> dict[str, Any]:
    method, chosen = model.metadata.method, run_record.chosen(model.name)
    return {
        "parent_model": "",
        "format": _FORMAT,
        "family": method,
        "families": [method],
        "parameter_size": _short(model.metadata.parameters),
        "quantization_level": chosen.precision.upper() if chosen is not None else "",
    }


def _modified(model: StoredModel) -> str:
    made = (model.path / "captionbox.json").stat().st_mtime
    return datetime.fromtimestamp(made, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


@cache
def _size(directory: Path) -> int:
    """Return how many bytes a model's files have."""
    return sum(file.stat().st_size for file in directory.rglob("*") if file.is_file())


def _short(parameters: int) -> str:
    """Return a number as people write it: 11.1M."""
    for unit, name in ((1_000_000_000, "B"), (1_000_000, "M"), (1_000, "K")):
        if parameters >= unit:
            return f"{parameters / unit:.1f}{name}"
    return str(parameters)
