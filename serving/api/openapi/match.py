"""The OpenAPI document's part on matching."""

from __future__ import annotations

from typing import Any

from serving.api.forms import IMAGE_FIELD
from serving.api.openapi.parts import (
    PICTURE_PROBLEMS,
    REQUEST_PROBLEMS,
    body,
    id_field,
    ok,
    picture_field,
    problems,
)
from serving.base.settings import Settings
from serving.contract.requests import TEXTS_FIELD
from serving.contract.schemas import MAX_TEXT_LENGTH, MAX_TEXTS

_PROBLEMS = [slug for slug in REQUEST_PROBLEMS if slug != "unsupported-option"]


def match_paths(settings: Settings) -> dict[str, Any]:
    """Return the `paths` for matching; none where no matcher is served: so clients can tell."""
    if not settings.matcher:
        return {}
    fields: dict[str, Any] = {
        IMAGE_FIELD: picture_field(settings),
        TEXTS_FIELD: {
            "type": "array",
            "minItems": 1,
            "maxItems": MAX_TEXTS,
            "items": {
                "type": "string",
                "minLength": 1,
                "maxLength": MAX_TEXT_LENGTH,
                "pattern": r"\S",
            },
            "description": f"1 to {MAX_TEXTS} texts to rank, a field for each, of at most "
            f"{MAX_TEXT_LENGTH:,} characters; not blank. The matcher may read fewer: it counts "
            "tokens, and says so where a text has too many. None is cut short.",
            "examples": [["a dog on the grass", "a cat in a tree"]],
        },
        "model": {
            "type": "string",
            "enum": [settings.matcher_name],
            "description": "The served matcher; it need not be named.",
        },
        "id": id_field(),
    }
    form = body("multipart/form-data", [IMAGE_FIELD, TEXTS_FIELD], fields)
    # The default, but Swagger UI joins the texts with commas unless it is told.
    repeated = {TEXTS_FIELD: {"style": "form", "explode": True}}
    form["content"]["multipart/form-data"]["encoding"] = repeated
    operation = {
        "operationId": "match",
        "tags": ["captions"],
        "summary": "Rank texts by how well they fit a picture",
        "description": "Scores every text by itself: the probability, 0 to 1, that it belongs to "
        "the picture. `rerank` of `POST /caption` orders captions the same way.",
        "requestBody": form,
        "responses": {"200": ok("MatchResponse"), **problems(*_PROBLEMS, *PICTURE_PROBLEMS)},
    }
    return {"/match": {"post": operation}}
