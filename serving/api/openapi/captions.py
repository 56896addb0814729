"""The OpenAPI document's operations that caption pictures."""

from __future__ import annotations

from typing import Any

from serving.api.forms import BATCH_FIELD, IMAGE_FIELD, MOST_IMAGES
from serving.api.openapi.parts import (
    PICTURE_PROBLEMS,
    PIXEL_URL,
    REQUEST_PROBLEMS,
    URL_PROBLEMS,
    body,
    caption_fields,
    ok,
    picture_field,
    problems,
)
from serving.base.settings import Settings
from serving.contract.schemas import CAPTION_EXAMPLE, RERANK_EXAMPLE
from serving.pictures.fetch import MAX_REDIRECTS, MAX_URL_LENGTH

_OPTIONS = (
    "Every option may be left out: the model's own default then holds. A field that is unknown, or "
    "an option that the model cannot honour, is refused with 422."
)
_QUERY = "Options may stand in the URL's query as well as in the form: `?model=NAME`."


def caption_paths(settings: Settings) -> dict[str, Any]:
    """Return the `paths` of the document that caption pictures."""
    return {
        "/caption": {"post": _caption(settings)},
        "/caption_url": {"post": _caption_url(settings)},
        "/caption_batch": {"post": _caption_batch(settings)},
    }


def _caption(settings: Settings) -> dict[str, Any]:
    fields = {IMAGE_FIELD: picture_field(settings), **caption_fields(settings)}
    return {
        "operationId": "caption",
        "tags": ["captions"],
        "summary": "Caption a picture",
        "description": f"{_OPTIONS} {_QUERY}",
        "requestBody": body("multipart/form-data", [IMAGE_FIELD], fields),
        "responses": {
            "200": _captions(settings),
            **problems(*REQUEST_PROBLEMS, *PICTURE_PROBLEMS),
        },
    }


def _caption_url(settings: Settings) -> dict[str, Any]:
    size = f"{settings.max_upload_mb:g} MiB"
    fetching = (
        f"This server fetches pictures from http and https URLs, ports "
        f"{', '.join(map(str, settings.url_ports))}, addresses of the public internet only, at "
        f"most {size}, within {settings.url_timeout_s:g} s and {MAX_REDIRECTS} redirects."
        if settings.allow_urls
        else "This server fetches nothing: it takes `data:` URLs only."
    )
    example = "https://example.org/dog.jpg" if settings.allow_urls else PIXEL_URL
    url = {
        "type": "string",
        "minLength": 1,
        # The page reads this to know whether to offer a field for addresses.
        "pattern": "^(https?|data):" if settings.allow_urls else "^data:",
        "description": f"Address of the picture, at most {MAX_URL_LENGTH:,} characters, or a "
        "`data:` URL that holds it.",
        "examples": [example],
    }
    # JSON, unlike a form, can say that a field has no value.
    options = {name: _or_null(schema) for name, schema in caption_fields(settings).items()}
    return {
        "operationId": "captionUrl",
        "tags": ["captions"],
        "summary": "Caption the picture at a URL",
        "description": f"{fetching} {_OPTIONS}",
        "requestBody": body(
            "application/json",
            ["url"],
            {"url": url, **options},
            {"url": example, "num_captions": 2},
        ),
        "responses": {
            "200": _captions(settings),
            **problems(*REQUEST_PROBLEMS, *PICTURE_PROBLEMS, *URL_PROBLEMS),
        },
    }


def _caption_batch(settings: Settings) -> dict[str, Any]:
    images = {
        "type": "array",
        "minItems": 1,
        "maxItems": MOST_IMAGES,
        "items": picture_field(settings),
        "description": f"1 to {MOST_IMAGES} pictures: the field is repeated, once for each.",
    }
    return {
        "operationId": "captionBatch",
        "tags": ["captions"],
        "summary": "Caption several pictures",
        "description": "The results stand in the pictures' order. A picture that cannot be read "
        "has an `error` in its place and fails no other; the status is 200 all the same. "
        f"The request counts as as many as it has pictures. {_OPTIONS} {_QUERY}",
        "requestBody": body(
            "multipart/form-data", [BATCH_FIELD], {BATCH_FIELD: images, **caption_fields(settings)}
        ),
        "responses": {"200": ok("BatchResponse"), **problems(*REQUEST_PROBLEMS)},
    }


def _captions(settings: Settings) -> dict[str, Any]:
    answer = ok("CaptionResponse")
    if settings.matcher:
        answer["content"]["application/json"]["examples"] = {
            "captions": {"summary": "Captions", "value": CAPTION_EXAMPLE},
            "rerank": {"summary": "Captions in the matcher's order", "value": RERANK_EXAMPLE},
        }
    return answer


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    about: dict[str, Any] = {
        key: schema[key] for key in ("description", "examples") if key in schema
    }
    value = {key: item for key, item in schema.items() if key not in about}
    return {"anyOf": [value, {"type": "null"}], **about}
