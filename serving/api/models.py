"""The operations that tell what is served, in OpenAI's format of models."""

from __future__ import annotations

from collections.abc import Iterator

from fastapi import Request, Response
from fastapi.routing import APIRoute

from serving.api.operations import get, problems
from serving.base.settings import Settings
from serving.contract.schemas import ModelsResponse, ServedModel
from serving.gateway.gateway import gateway_of

_PATH = "/v1/models"


async def _models(request: Request) -> Response:
    return _json(gateway_of(request).models.response())


async def _model(request: Request) -> Response:
    name = str(request.scope["path"]).removeprefix(f"{_PATH}/")
    return _json(gateway_of(request).models.describe(name))


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
