"""PhotoPrism's vision service: `POST /api/v1/vision/caption` and `/labels`.

As Ollama's operations they are not in the OpenAPI document.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from fastapi import Depends, Request
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

from models.api.options import CaptionOptions
from serving.api.bodies import JsonBody
from serving.api.photoprism.errors import PREFIX
from serving.api.photoprism.request import VisionRequest, asked_model, asked_picture
from serving.api.structured import Said
from serving.api.talking import prompt_for
from serving.base import request_id
from serving.base.settings import Settings
from serving.contract.requests import CaptionForm
from serving.gateway.gateway import gateway_of

_Kind = Literal["caption", "labels"]

_SOURCE = "image"
"""Where PhotoPrism says that a text comes from which a model has read off the picture."""

_BODY = JsonBody(VisionRequest, lambda _: {}, any_type=True)


def photoprism_routes(settings: Settings) -> Iterator[APIRoute]:
    """Yield the routes: also one for each model, for a parameter would make metrics of any name."""
    for kind, answers in (("caption", _caption), ("labels", _labels)):
        yield _route(f"{PREFIX}{kind}", answers)
        for model in settings.models:
            name, _, version = model.partition(":")
            for way in dict.fromkeys((name, f"{name}/latest", f"{name}/{version}".rstrip("/"))):
                yield _route(f"{PREFIX}{kind}/{way}", answers)


def _route(path: str, endpoint: Any) -> APIRoute:
    return APIRoute(path, endpoint, methods=["POST"], include_in_schema=False)


async def _caption(
    request: Request, asked: Annotated[VisionRequest, Depends(_BODY)]
) -> JSONResponse:
    return await _answer(request, asked, "caption")


async def _labels(
    request: Request, asked: Annotated[VisionRequest, Depends(_BODY)]
) -> JSONResponse:
    return await _answer(request, asked, "labels")


async def _answer(request: Request, asked: VisionRequest, kind: _Kind) -> JSONResponse:
    gateway = gateway_of(request)
    in_path = str(request.scope["path"]).removeprefix(f"{PREFIX}{kind}").strip("/").split("/")
    name, version = (*in_path, "")[:2] if in_path[0] else (asked.model, asked.version)
    model = asked_model(gateway.models, name, version)
    # An order for labels is ours to fulfil.
    text = "" if kind == "labels" else (asked.prompt or "").strip()
    prompt = prompt_for(model, text, None, gateway.models.honoured(model))
    image = await gateway.fetch(asked_picture(asked), model)
    form = CaptionForm(image, CaptionOptions(prompt=prompt), model.name, None)
    identity = request_id.of(request.scope)
    (best, *_) = (await gateway.caption(form, identity)).captions
    said = Said.by(best.text, best.confidence)
    about = {
        "type": kind,
        "name": model.name,
        "version": model.version,
        "resolution": model.metadata.preprocess.height,
    }
    labels = [{**said.label(label), "source": _SOURCE, "priority": 0} for label in said.labels]
    caption = {"text": said.text, "source": _SOURCE, "confidence": said.confidence}
    return JSONResponse(
        {
            "id": asked.id or identity,
            "code": 200,
            "model": about,
            "result": {"caption": caption, "labels": labels},
        }
    )
