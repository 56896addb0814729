"""How an operation is declared: a FastAPI route, with what the OpenAPI document says of it.

Endpoints return a `Response` that holds what pydantic wrote; the model of an answer is named for
the document only, so FastAPI neither checks nor writes it a second time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from fastapi import Response
from fastapi.routing import APIRoute
from pydantic import BaseModel

from models.pictures.kinds import READABLE
from serving.base.problems import KINDS, TYPE_PREFIX, Kind
from serving.base.settings import Settings
from serving.contract.problem_details import ProblemDetails
from serving.http.problem_answers import MEDIA_TYPE

Endpoint: TypeAlias = Callable[..., Awaitable[Response]]

REF = "#/components/schemas/{model}"
"""Where a model's schema stands in the document."""

REQUEST_PROBLEMS = (
    "malformed-request",
    "unknown-model",
    "upload-too-slow",
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


def post(
    path: str,
    endpoint: Endpoint,
    answer: type[BaseModel],
    refusals: Mapping[int | str, Any],
    *,
    name: str,
    summary: str,
    description: str,
    content: Mapping[str, Any] | None = None,
    body: Mapping[str, Any] | None = None,
    documented: bool = True,
) -> APIRoute:
    """Return the route of an operation that captions or matches.

    Args:
        path: where it is.
        endpoint: answers; what it reads is described by its dependencies (`serving.api.bodies`).
        answer: model of a good answer.
        refusals: the other answers, by status; see `problems`.
        name: the operation's, for programs.
        summary: what it does, in a few words.
        description: what else is to be known.
        content: more of the good answer, by media type.
        body: more of the request's body, by media type, such as an example.
        documented: whether the document has it.
    """
    good: dict[int | str, Any] = {"200": {"content": dict(content)}} if content else {}
    return APIRoute(
        path,
        endpoint,
        methods=["POST"],
        tags=["captions"],
        operation_id=name,
        summary=summary,
        description=description,
        response_model=answer,
        response_description="Done",
        responses={**good, **refusals},
        openapi_extra={"requestBody": {"content": dict(body)}} if body else None,
        include_in_schema=documented,
    )


def get(
    path: str, endpoint: Endpoint, answer: type[BaseModel], *, documented: bool = True, **more: Any
) -> APIRoute:
    """Return the route of an operation that tells something, also to HEAD, as every GET does.

    Args:
        path: where it is.
        endpoint: answers.
        answer: model of a good answer.
        documented: whether the document has it.
        more: what else `APIRoute` is to be told for the document.
    """
    return APIRoute(
        path,
        endpoint,
        methods=["GET", "HEAD"],
        response_model=answer,
        response_description="Done",
        include_in_schema=documented,
        **more,
    )


def answer_json(answer: BaseModel) -> Response:
    """Return an answer's response; what has no value is left out."""
    return Response(answer.model_dump_json(exclude_none=True), media_type="application/json")


def problems(*slugs: str) -> dict[int | str, dict[str, Any]]:
    """Return the answers, by status, for these kinds of problems."""
    answers: dict[int | str, dict[str, Any]] = {}
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


def picture_terms(settings: Settings) -> dict[str, Any]:
    """Return what a server's settings say of an uploaded picture, for its field's schema."""
    size = f"at most {settings.max_upload_mb:g} MiB and {settings.max_pixels:,} pixels"
    return {
        "contentMediaType": "application/octet-stream",
        "description": f"The picture: {READABLE}; of an animation the first frame; {size}. "
        "Its bytes decide what it is, not its name.",
    }


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
