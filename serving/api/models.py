"""The operations that tell what is served, in OpenAI's format of models."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from fastapi import Request, Response
from fastapi.routing import APIRoute

from models.api.options import OptionName
from models.hub.known_models import known_by_source
from models.registry import find_method
from models.store import StoredModel
from serving.api.operations import get, problems
from serving.base.settings import Settings
from serving.contract import run_record
from serving.contract.schemas import InputSize, ModelsResponse, ServedModel
from serving.contract.served_models import ServedModels
from serving.gateway.gateway import gateway_of

_PATH = "/v1/models"


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
        scores=model.metadata.scores,
        licence=model.metadata.licence,
        source=model.metadata.source,
        weights_bytes=sum(file.stat().st_size for file in model.path.glob("*.safetensors")),
        known=known_by_source(model.metadata.source),
    )


# --- routes --------------------------------------------------------------------------------------


async def _models(request: Request) -> Response:
    return _json(all_cards(gateway_of(request).models))


async def _model(request: Request) -> Response:
    name = str(request.scope["path"]).removeprefix(f"{_PATH}/")
    return _json(card(gateway_of(request).models, name))


def _json(answer: ModelsResponse | ServedModel) -> Response:
    return Response(answer.model_dump_json(), media_type="application/json")


def model_routes(settings: Settings) -> Iterator[APIRoute]:
    """Yield the routes: one for each model, for a parameter would make metrics of any name."""
    yield get(
        _PATH,
        _models,
        ModelsResponse,
        tags=["models"],
        operation_id="listModels",
        summary="List served models",
    )
    for name in settings.served_names:
        yield get(f"{_PATH}/{name}", _model, ServedModel, documented=False)


def model_template(settings: Settings) -> APIRoute:
    """Return what the document says in the place of the models' own routes."""
    names = list(settings.served_names)
    parameter = {
        "name": "name",
        "in": "path",
        "required": True,
        "schema": {"type": "string", "enum": names},
        "example": names[0],
    }
    return get(
        f"{_PATH}/{{name}}",
        _model,
        ServedModel,
        tags=["models"],
        operation_id="getModel",
        summary="Describe a served model",
        responses=problems("not-found", "not-ready"),
        openapi_extra={"parameters": [parameter]},
    )
