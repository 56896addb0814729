"""The OpenAPI document, made from the same fields that check requests and form answers."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from models.interface import CaptionOptions
from serving.forms import IMAGE_FIELD
from serving.problems import KINDS, MEDIA_TYPE, TYPE_PREFIX, ProblemDetails
from serving.schemas import MAX_ID_LENGTH, CaptionResponse, ModelsResponse, ServedModel
from serving.settings import Settings
from serving.version import __version__

_REF = "#/components/schemas/{model}"
_DESCRIPTION = """\
Self-hosted image captioning: send a picture, get sentences that describe it.

Errors on every route are `application/problem+json` (RFC 9457). `type` is one of:

{problems}

Every answer has an `X-Request-ID`; send one to have it used. 429 and 503 say in `Retry-After` when
to try again.
"""
_CAPTION_PROBLEMS = (400, 404, 413, 415, 422, 429, 500, 503, 504)


def document(settings: Settings) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document."""
    answers: list[type[BaseModel]] = [CaptionResponse, ModelsResponse, ServedModel, ProblemDetails]
    _, schemas = models_json_schema(
        [(answer, "serialization") for answer in answers], ref_template=_REF
    )
    problems = "\n".join(
        f"- `{TYPE_PREFIX}{slug}` ({kind.status}): {kind.advice}" for slug, kind in KINDS.items()
    )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Captionbox",
            "version": __version__,
            "description": _DESCRIPTION.format(problems=problems),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [
            {"name": "captions", "description": "From pictures to sentences."},
            {"name": "models", "description": "What is served."},
            {"name": "operation", "description": "For those who run the service."},
        ],
        "paths": {
            "/caption": {"post": _caption_operation(settings)},
            "/v1/models": {
                "get": _get("models", "listModels", "List served models", _ok("ModelsResponse"))
            },
            "/v1/models/{name}": {
                "get": {
                    **_get("models", "getModel", "Describe a served model", _ok("ServedModel")),
                    "parameters": [_name_parameter(settings)],
                    "responses": {"200": _ok("ServedModel"), "404": _problem(404)},
                }
            },
            **_probes(),
        },
        "components": {"schemas": schemas.get("$defs", {})},
    }


def _name_parameter(settings: Settings) -> dict[str, Any]:
    names = list(settings.model_names)
    return {
        "name": "name",
        "in": "path",
        "required": True,
        "schema": {"type": "string", "enum": names},
        "example": names[0],
    }


def _caption_operation(settings: Settings) -> dict[str, Any]:
    size = f"at most {settings.max_upload_mb:g} MiB and {settings.max_pixels:,} pixels"
    fields: dict[str, Any] = {
        IMAGE_FIELD: {
            "type": "string",
            "contentMediaType": "application/octet-stream",
            "format": "binary",
            "description": "The picture: JPEG, PNG, WebP, GIF or other animation (first frame), "
            f"BMP, TIFF or AVIF, {size}. Its bytes decide what it is, not its name.",
        },
        **_option_fields(),
        "model": {
            "type": "string",
            "enum": list(settings.model_names),
            "description": "Served model to caption with; the first by default.",
        },
        "id": {
            "type": "string",
            "maxLength": MAX_ID_LENGTH,
            "description": "Comes back in the answer.",
            "examples": ["holiday-17"],
        },
    }
    form = {
        "type": "object",
        "required": [IMAGE_FIELD],
        "properties": fields,
        "additionalProperties": False,
    }
    return {
        "operationId": "caption",
        "tags": ["captions"],
        "summary": "Caption a picture",
        "description": "Every option may be left out: the model's own default then holds. A field "
        "that is unknown, or an option that the model cannot honour, is refused with 422.",
        "requestBody": {
            "required": True,
            "content": {"multipart/form-data": {"schema": form}},
        },
        "responses": {
            "200": _ok("CaptionResponse"),
            **{str(status): _problem(status) for status in _CAPTION_PROBLEMS},
        },
    }


def _option_fields() -> dict[str, Any]:
    properties = CaptionOptions.model_json_schema()["properties"]
    fields = {}
    for name, schema in properties.items():
        # A form field is given or not; it is never null.
        value = next(part for part in schema["anyOf"] if part.get("type") != "null")
        extra = {key: schema[key] for key in ("description", "examples") if key in schema}
        fields[name] = {**value, **extra}
    return fields


def _probes() -> dict[str, Any]:
    text = {"description": "Yes", "content": {"text/plain": {"schema": {"type": "string"}}}}
    metrics = {**text, "description": "Metrics in Prometheus' text format"}
    ready = _get("operation", "readyz", "Can it caption pictures?", text)
    ready["responses"]["503"] = _problem(503)
    return {
        "/livez": {"get": _get("operation", "livez", "Is the process alive?", text)},
        "/healthz": {"get": _get("operation", "healthz", "The same as /livez", text)},
        "/readyz": {"get": ready},
        "/metrics": {"get": _get("operation", "metrics", "Metrics", metrics)},
    }


def _get(tag: str, operation_id: str, summary: str, answer: dict[str, Any]) -> dict[str, Any]:
    return {
        "operationId": operation_id,
        "tags": [tag],
        "summary": summary,
        "responses": {"200": answer},
    }


def _ok(schema: str) -> dict[str, Any]:
    reference = {"$ref": _REF.format(model=schema)}
    return {"description": "Done", "content": {"application/json": {"schema": reference}}}


def _problem(status: int) -> dict[str, Any]:
    titles = "; ".join(kind.title for kind in KINDS.values() if kind.status == status)
    reference = {"$ref": _REF.format(model="ProblemDetails")}
    answer: dict[str, Any] = {
        "description": titles,
        "content": {MEDIA_TYPE: {"schema": reference}},
    }
    if status in (429, 503):
        answer["headers"] = {
            "Retry-After": {
                "description": "Seconds to wait.",
                "schema": {"type": "integer"},
            }
        }
    return answer
