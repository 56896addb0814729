"""The OpenAPI document, made from the same fields that check requests and form answers."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from serving.api.openai.schemas import ChatCompletion, ChatCompletionChunk, Message, StreamOptions
from serving.api.openapi.auth import add_security
from serving.api.openapi.captions import caption_paths
from serving.api.openapi.chat import chat_paths
from serving.api.openapi.match import match_paths
from serving.api.openapi.parts import REF, ok, problems
from serving.base.problems import KINDS, TYPE_PREFIX
from serving.base.settings import Settings
from serving.base.version import __version__
from serving.contract.problem_details import ProblemDetails
from serving.contract.schemas import (
    BatchResponse,
    CaptionResponse,
    MatchResponse,
    ModelsResponse,
    ServedModel,
)
from serving.http.auth import open_paths

_DESCRIPTION = """\
Self-hosted image captioning: send a picture, get sentences that describe it.

Errors on every route are `application/problem+json` (RFC 9457), with one of these types:

<details><summary>Problem types</summary>

{problems}

</details>

Every answer has an `X-Request-ID`; send one to have it used. 429 and 503 say in `Retry-After` when
to try again.
"""

_METRICS_EXAMPLE = """\
# HELP captionbox_images_captioned_total Pictures captioned
# TYPE captionbox_images_captioned_total counter
captionbox_images_captioned_total{model="compact"} 17.0
"""


def document(settings: Settings) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document."""
    answers: list[type[BaseModel]] = [
        CaptionResponse,
        BatchResponse,
        ModelsResponse,
        ServedModel,
        ChatCompletion,
        ChatCompletionChunk,
        ProblemDetails,
    ]
    if settings.matcher:
        answers.append(MatchResponse)
    _, schemas = models_json_schema(
        [
            (Message, "validation"),
            (StreamOptions, "validation"),
            *((answer, "serialization") for answer in answers),
        ],
        ref_template=REF,
    )
    kinds = "\n".join(
        f"- `{TYPE_PREFIX}{slug}` ({kind.status}): {kind.advice}" for slug, kind in KINDS.items()
    )
    content: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "Captionbox",
            "version": __version__,
            "description": _DESCRIPTION.format(problems=kinds),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [
            {"name": "captions", "description": "From pictures to sentences."},
            {"name": "models", "description": "What is served."},
            {"name": "operation", "description": "For those who run the service."},
        ],
        "paths": {
            **caption_paths(settings),
            **match_paths(settings),
            **chat_paths(settings),
            "/v1/models": {
                "get": _get("models", "listModels", "List served models", ok("ModelsResponse"))
            },
            "/v1/models/{name}": {
                "get": {
                    **_get("models", "getModel", "Describe a served model", ok("ServedModel")),
                    "parameters": [_name_parameter(settings)],
                    "responses": {"200": ok("ServedModel"), **problems("not-found", "not-ready")},
                }
            },
            **_probes(),
        },
        "components": {"schemas": schemas.get("$defs", {})},
    }
    if settings.has_keys:
        add_security(
            content, problems("unauthorized")["401"], open_paths((), settings.metrics_open)
        )
    return content


def _name_parameter(settings: Settings) -> dict[str, Any]:
    names = list(settings.served_names)
    return {
        "name": "name",
        "in": "path",
        "required": True,
        "schema": {"type": "string", "enum": names},
        "example": names[0],
    }


def _probes() -> dict[str, Any]:
    text = _text("Yes", "\n")
    metrics = _text("Metrics in Prometheus' text format", _METRICS_EXAMPLE)
    ready = _get("operation", "readyz", "Can it caption pictures?", text)
    ready["responses"] |= problems("not-ready")
    return {
        "/livez": {"get": _get("operation", "livez", "Is the process alive?", text)},
        "/healthz": {"get": _get("operation", "healthz", "The same as /livez", text)},
        "/readyz": {"get": ready},
        "/metrics": {"get": _get("operation", "metrics", "Metrics", metrics)},
    }


def _text(description: str, example: str) -> dict[str, Any]:
    content = {"schema": {"type": "string"}, "example": example}
    return {"description": description, "content": {"text/plain": content}}


def _get(tag: str, operation_id: str, summary: str, answer: dict[str, Any]) -> dict[str, Any]:
    return {
        "operationId": operation_id,
        "tags": [tag],
        "summary": summary,
        "responses": {"200": answer},
    }
