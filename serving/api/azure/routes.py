"""`POST /computervision/imageanalysis:analyze`: captions and tags in Azure's form.

As Ollama's operations it is not in the OpenAPI document.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

from models.api.options import CaptionOptions
from models.store import StoredModel
from serving.api.azure.errors import PREFIX
from serving.api.structured import Said
from serving.base import request_id
from serving.base.problems import Problem, fault
from serving.base.settings import Settings
from serving.contract.requests import CaptionForm
from serving.contract.schemas import CaptionResponse
from serving.gateway.gateway import Gateway, gateway_of

_DENSE = 3
"""Captions where several are asked for; all are of the whole picture."""

_CAPTION, _DENSE_CAPTIONS, _TAGS = "caption", "densecaptions", "tags"
_FEATURES = {_CAPTION, _DENSE_CAPTIONS, _TAGS}
_OTHERS = {"objects", "people", "read", "smartcrops"}
"""What Azure has beside and a captioner has not: their results are empty."""

_LONGEST_BODY_OF_JSON = 100_000


def azure_routes(_: Settings) -> Iterator[APIRoute]:
    """Yield the routes."""
    path = f"{PREFIX}imageanalysis:analyze"
    yield APIRoute(path, _analyze, methods=["POST"], include_in_schema=False)


async def _analyze(request: Request) -> JSONResponse:
    gateway = gateway_of(request)
    features = _features(request.query_params.get("features", ""))
    model = gateway.models.get(request.query_params.get("model-name") or None)
    image = await _picture(request, gateway, model)
    # Tags need one caption; so do features that are always empty, for the picture's size.
    wanted = _DENSE if _DENSE_CAPTIONS in features else 1
    form = CaptionForm(image, CaptionOptions(num_captions=wanted), model.name, None)
    answer = await gateway.caption(form, request_id.of(request.scope))
    return JSONResponse(_result(answer, features))


def _features(text: str) -> set[str]:
    features = {name.strip().lower() for name in text.split(",") if name.strip()}
    if not features:
        raise fault("features", "name at least one of: caption, denseCaptions, tags")
    unknown = sorted(features - _FEATURES - _OTHERS)
    if unknown:
        raise fault("features", "must be of: caption, denseCaptions, tags", ", ".join(unknown))
    return features


async def _picture(request: Request, gateway: Gateway, model: StoredModel) -> bytes:
    """Return the picture: the body is it, or is JSON with its address."""
    body = await request.body()
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != "application/json":
        return body
    try:
        told = json.loads(body) if len(body) <= _LONGEST_BODY_OF_JSON else None
    except (ValueError, RecursionError):
        raise Problem("malformed-request", "The body is not JSON.") from None
    url = told.get("url") if isinstance(told, dict) else None
    if not isinstance(url, str) or not url:
        raise fault("url", "required: the picture's address")
    return await gateway.fetch(url, model)


def _result(answer: CaptionResponse, features: set[str]) -> dict[str, Any]:
    said = [Said.by(caption.text, caption.confidence) for caption in answer.captions]
    width, height = answer.image.width, answer.image.height
    result: dict[str, Any] = {
        "modelVersion": f"{answer.model.name}:{answer.model.version}",
        "metadata": {"width": width, "height": height},
    }
    if _CAPTION in features:
        result["captionResult"] = {"text": said[0].text, "confidence": said[0].confidence}
    if _DENSE_CAPTIONS in features:
        whole = {"x": 0, "y": 0, "w": width, "h": height}
        result["denseCaptionsResult"] = {
            "values": [
                {"text": one.text, "confidence": one.confidence, "boundingBox": whole}
                for one in said
            ]
        }
    if _TAGS in features:
        tags = [{"name": tag, "confidence": said[0].confidence} for tag in said[0].labels]
        result["tagsResult"] = {"values": tags}
    for name, empty in (("objects", "values"), ("people", "values"), ("read", "blocks")):
        if name in features:
            result[f"{name}Result"] = {empty: []}
    if "smartcrops" in features:
        result["smartCropsResult"] = {"values": []}
    return result
