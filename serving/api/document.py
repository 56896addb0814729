"""The OpenAPI document: FastAPI's, of the routes, with the bodies that our own readers take."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from copy import copy
from typing import Any

from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic.json_schema import models_json_schema

from serving.api.bodies import Body, FormBody
from serving.api.operations import REF, problems
from serving.base.problems import KINDS, TYPE_PREFIX
from serving.base.settings import Settings
from serving.base.version import __version__
from serving.contract.problem_details import ProblemDetails
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

_TAGS = (
    {"name": "captions", "description": "From pictures to sentences."},
    {"name": "models", "description": "What is served."},
    {"name": "operation", "description": "For those who run the service."},
)

_METRICS_EXAMPLE = """\
# HELP captionbox_images_captioned_total Pictures captioned
# TYPE captionbox_images_captioned_total counter
captionbox_images_captioned_total{model="compact"} 17.0
"""

_WORDS = ("description", "examples")
"""What a field's schema says to people; it stands beside the types that the field may have."""

_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key."},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same."},
}


def document(settings: Settings, routes: Iterable[APIRoute]) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document.

    Args:
        settings: of the server.
        routes: what it tells of.
    """
    shown = [_without_head(route) for route in routes if route.include_in_schema]
    kinds = "\n".join(
        f"- `{TYPE_PREFIX}{slug}` ({kind.status}): {kind.advice}" for slug, kind in KINDS.items()
    )
    content = get_openapi(
        title="Captionbox",
        version=__version__,
        description=_DESCRIPTION.format(problems=kinds),
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        # Beside the document, wherever that is: a proxy may put a prefix before all addresses.
        servers=[{"url": "."}],
        tags=[dict(tag) for tag in _TAGS],
        routes=shown,
    )
    readers = {route.path: reader for route in shown for reader in _readers(route)}
    for path, reader in readers.items():
        _add_body(content["paths"][path]["post"], reader, settings)
    content["components"]["schemas"] |= _other_schemas(readers.values())
    content["paths"] |= _probes()
    if settings.has_keys:
        _add_security(content, open_paths((), settings.metrics_open))
    return content


def _without_head(route: APIRoute) -> APIRoute:
    """Return a route as the document has it: that HEAD is taken wherever GET is goes unsaid."""
    shown = copy(route)
    shown.methods = (route.methods or set()) - {"HEAD"}
    return shown


# --- bodies --------------------------------------------------------------------------------------


def _readers(route: APIRoute) -> Iterator[Body[Any]]:
    for dependency in route.dependant.dependencies:
        if isinstance(dependency.call, Body):
            yield dependency.call


def _add_body(operation: dict[str, Any], reader: Body[Any], settings: Settings) -> None:
    schema = reader.model.model_json_schema(ref_template=REF)
    fields = {name: _field(field, reader) for name, field in schema["properties"].items()}
    for name, terms in reader.terms(settings).items():
        _add_terms(fields.setdefault(name, {}), terms)
    body = operation.setdefault("requestBody", {"content": {}})
    body["required"] = True
    body["content"].setdefault(reader.media_type, {})["schema"] = {
        "type": "object",
        "required": schema["required"],
        "properties": fields,
        "additionalProperties": schema["additionalProperties"],
    }


def _field(schema: dict[str, Any], reader: Body[Any]) -> dict[str, Any]:
    """Return a field's schema, in a form without the null that only JSON can say."""
    words: dict[str, Any] = {key: schema[key] for key in _WORDS if key in schema}
    rest = {key: schema[key] for key in schema if key not in ("title", *words)}
    if isinstance(reader, FormBody) and "anyOf" in rest:
        rest = next(dict(one) for one in rest["anyOf"] if one.get("type") != "null")
    return {**rest, **words}


def _add_terms(field: dict[str, Any], terms: Mapping[str, Any]) -> None:
    """Add what a server's settings say, in place: limits beside the type that they are of."""
    for key, term in terms.items():
        place = field
        if key not in _WORDS and "anyOf" in field:
            place = field["anyOf"][0]
        place[key] = {**place[key], **term} if isinstance(term, Mapping) else term


def _other_schemas(readers: Iterable[Body[Any]]) -> dict[str, Any]:
    """Return the schemas that are referred to, but by no route's good answer."""
    parts = [part for reader in readers for part in reader.parts]
    _, schemas = models_json_schema([(ProblemDetails, "serialization"), *parts], ref_template=REF)
    found: dict[str, Any] = schemas["$defs"]
    return found


# --- what is not FastAPI's -----------------------------------------------------------------------


def _probes() -> dict[str, Any]:
    """Return the paths that BentoML answers."""
    text = _text("Yes", "\n")
    metrics = _text("Metrics in Prometheus' text format", _METRICS_EXAMPLE)
    ready = _get("readyz", "Can it caption pictures?", text)
    ready["responses"] |= problems("not-ready")
    return {
        "/livez": {"get": _get("livez", "Is the process alive?", text)},
        "/healthz": {"get": _get("healthz", "The same as /livez", text)},
        "/readyz": {"get": ready},
        "/metrics": {"get": _get("metrics", "Metrics", metrics)},
    }


def _text(description: str, example: str) -> dict[str, Any]:
    content = {"schema": {"type": "string"}, "example": example}
    return {"description": description, "content": {"text/plain": content}}


def _get(operation_id: str, summary: str, answer: dict[str, Any]) -> dict[str, Any]:
    return {
        "operationId": operation_id,
        "tags": ["operation"],
        "summary": summary,
        "responses": {"200": answer},
    }


def _add_security(content: dict[str, Any], open_to_all: Container[str]) -> None:
    """Complete the document of a server that has keys: the middleware looks at them, no route."""
    content["components"]["securitySchemes"] = _SCHEMES
    content["security"] = [{name: []} for name in _SCHEMES]
    refusal = {
        **problems("unauthorized")["401"],
        "headers": {
            "WWW-Authenticate": {
                "description": "`Bearer`, with `error` where the key is wrong.",
                "schema": {"type": "string"},
            }
        },
    }
    for path, item in content["paths"].items():
        for operation in item.values():
            if path in open_to_all:
                operation["security"] = []
            else:
                operation["responses"]["401"] = refusal
