"""What `GET /v1/models` tells of the served models."""

from __future__ import annotations

from typing import get_args

from models.api.options import OptionName
from models.registry import find_method
from models.store import StoredModel
from serving.contract import run_record
from serving.contract.schemas import InputSize, ModelsResponse, ServedModel
from serving.contract.served_models import ServedModels


def all_cards(models: ServedModels) -> ModelsResponse:
    """Return the answer of `GET /v1/models`."""
    return ModelsResponse(data=[_card(models, model) for model in models.all()])


def card(models: ServedModels, name: str) -> ServedModel:
    """Return the answer of `GET /v1/models/NAME`.

    Raises:
        Problem: 404, no such model is served.
    """
    return _card(models, models.named(name))


def _card(models: ServedModels, model: StoredModel) -> ServedModel:
    spec, honoured = model.metadata.preprocess, models.honoured(model)
    return ServedModel(
        id=model.name,
        created=int((model.path / "captionbox.json").stat().st_mtime),
        version=model.version,
        method=model.metadata.method,
        kind=find_method(model.metadata.method).kind,
        default=model is models.get(None),
        parameters=model.metadata.parameters,
        computes_in=run_record.chosen(model.name),
        options=[option for option in get_args(OptionName) if option in honoured],
        input=InputSize(height=spec.height, width=spec.width, fit=spec.fit),
        data=model.metadata.data,
        metrics=model.metadata.metrics,
        licence=model.metadata.licence,
        source=model.metadata.source,
    )
