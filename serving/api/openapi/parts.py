"""Parts that the OpenAPI document's operations have in common."""

from __future__ import annotations

from typing import Any

from models.api.options import CaptionOptions
from serving.base.problems import KINDS, TYPE_PREFIX, Kind
from serving.base.settings import Settings
from serving.contract.problem_details import ProblemDetails
from serving.contract.schemas import MAX_ID_LENGTH
from serving.http.problem_answers import MEDIA_TYPE
from serving.pictures.images import READABLE

REF = "#/components/schemas/{model}"
"""Where a model's schema stands in the document."""

REQUEST_PROBLEMS = (
    "malformed-request",
    "unknown-model",
    "too-large",
    "unsupported-media-type",
    "invalid-request",
    "unsupported-option",
    "too-many-requests",
    "internal-error",
    "overloaded",
    "engine-unavailable",
    "not-ready",
    "timeout",
)
"""Kinds of problems that any request for captions or matches may have."""

PICTURE_PROBLEMS = ("unsupported-image", "broken-image", "too-many-pixels")
"""Kinds of problems that a picture may have."""

URL_PROBLEMS = ("urls-not-allowed", "url-refused", "url-answer", "url-unreachable", "url-timeout")
"""Kinds of problems that a picture's address may have."""

PIXEL_URL = "data:image/gif;base64,R0lGODlhAQABAIAAAP8AAP///ywAAAAAAQABAAACAkQBADs="
"""A picture of one red pixel."""


def picture_field(settings: Settings) -> dict[str, Any]:
    """Return the schema of a form's picture file."""
    size = f"at most {settings.max_upload_mb:g} MiB and {settings.max_pixels:,} pixels"
    return {
        "type": "string",
        "contentMediaType": "application/octet-stream",
        "format": "binary",
        "description": f"The picture: {READABLE}; of an animation the first frame; {size}. "
        "Its bytes decide what it is, not its name.",
    }


def caption_fields(settings: Settings) -> dict[str, Any]:
    """Return the schemas of everything that a captioning request takes beside its picture."""
    return {
        **option_fields(),
        "model": {
            "type": "string",
            "enum": list(settings.model_names),
            "description": "Served model to caption with; the first by default.",
        },
        "id": id_field(),
    }


def id_field() -> dict[str, Any]:
    """Return the schema of the field that is echoed."""
    return {
        "type": "string",
        "maxLength": MAX_ID_LENGTH,
        "description": "Comes back in the answer.",
        "examples": ["holiday-17"],
    }


def option_fields() -> dict[str, Any]:
    """Return the schemas of the caption options."""
    properties = CaptionOptions.model_json_schema()["properties"]
    fields = {}
    for name, schema in properties.items():
        # A form field is given or not; it is never null.
        value = next(part for part in schema["anyOf"] if part.get("type") != "null")
        extra = {key: schema[key] for key in ("description", "examples") if key in schema}
        fields[name] = {**value, **extra}
    return fields


def body(
    media_type: str,
    required: list[str],
    fields: dict[str, Any],
    example: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the request body that has these fields and no others.

    Args:
        media_type: of the body.
        required: names of fields that have to be there.
        fields: schemas by name.
        example: a good body. Without one, Swagger UI makes up a JSON body that has every field.
    """
    schema = {
        "type": "object",
        "required": required,
        "properties": fields,
        "additionalProperties": False,
    }
    content: dict[str, Any] = {"schema": schema}
    if example is not None:
        content["example"] = example
    return {"required": True, "content": {media_type: content}}


def ok(schema: str) -> dict[str, Any]:
    """Return the good answer that holds a model of that name."""
    reference = {"$ref": REF.format(model=schema)}
    return {"description": "Done", "content": {"application/json": {"schema": reference}}}


def problems(*slugs: str) -> dict[str, Any]:
    """Return the answers, by status, for these kinds of problems."""
    answers: dict[str, Any] = {}
    for status in sorted({KINDS[slug].status for slug in slugs}):
        kinds = {slug: KINDS[slug] for slug in slugs if KINDS[slug].status == status}
        answers[str(status)] = {
            "description": "; ".join(kind.title for kind in kinds.values()),
            "content": {
                MEDIA_TYPE: {
                    "schema": {"$ref": REF.format(model="ProblemDetails")},
                    "examples": {slug: _example(slug, kind) for slug, kind in kinds.items()},
                }
            },
        }
        if status in (429, 503):
            answers[str(status)]["headers"] = {
                "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}
            }
    return answers


def _example(slug: str, kind: Kind) -> dict[str, Any]:
    example = ProblemDetails(
        type=TYPE_PREFIX + slug,
        title=kind.title,
        status=kind.status,
        detail=kind.advice,
        instance="/caption",
        request_id="5f0c7b2e9d0a4d0c8f6f0e7c9b1a2d3e",
    )
    return {"summary": kind.title, "value": example.model_dump(exclude_none=True)}
