"""Problems as answers: counted, and rendered as `application/problem+json` (RFC 9457).

A compatible face has its own shape of errors. It says so once, for everything below its path, since
errors there arise also where none of its code runs: a missing key, a body that is too large.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from serving.base import exchange as exchanges
from serving.base import metrics, request_id
from serving.base.problems import KINDS, TYPE_PREFIX, Problem
from serving.contract.problem_details import ProblemDetails

MEDIA_TYPE = "application/problem+json"

MOST_BYTES = 16 * 1024
"""Longest answer to a request that is refused, whatever was sent."""

_LONGEST_INSTANCE = 500


class ErrorBody(NamedTuple):
    """Body of an error answer.

    Attributes:
        content: to be sent as JSON.
        media_type: what the answer says that it is.
        status: of the answer, where the face has another than the problem's own.
    """

    content: Mapping[str, Any]
    media_type: str = MEDIA_TYPE
    status: int | None = None


Shape: TypeAlias = Callable[[Problem, ProblemDetails], ErrorBody]
"""How a face has errors: from a problem, and what is told of it, to the body of its answer."""

_shapes: dict[str, Shape] = {}


def shape_errors(prefix: str, shape: Shape) -> None:
    """Have a face shape the error answers of every path that begins with `prefix`.

    Of several prefixes that a path begins with, the longest holds.
    """
    _shapes[prefix] = shape


def account(problem: Problem, scope: Mapping[str, Any]) -> ProblemDetails:
    """Return what is told of `problem` to the request of the ASGI `scope`; counts it."""
    exchange = exchanges.current()
    metrics.problems().labels(problem.type_slug, exchange.model if exchange else "").inc()
    return ProblemDetails(
        type=TYPE_PREFIX + problem.type_slug,
        title=problem.title,
        status=problem.status,
        detail=problem.detail,
        instance=quote(scope.get("path", ""), safe="/-._~")[:_LONGEST_INSTANCE] or "/",
        request_id=request_id.of(scope),
        errors=problem.errors,
    )


def render(problem: Problem, scope: Mapping[str, Any]) -> Response:
    """Return the response for `problem` to the request of the ASGI `scope`."""
    exchange = exchanges.current()
    if exchange is not None:
        exchange.problem = problem.type_slug
    path = scope.get("path", "")
    prefix = max(filter(path.startswith, _shapes), key=len, default=None)
    shape = _plain if prefix is None else _shapes[prefix]
    details = account(problem, scope)
    body = shape(problem, details)
    written = _written(body)
    while len(written) > MOST_BYTES and details.errors:
        # Characters that JSON writes with six bytes each, say.
        details.errors = details.errors[: len(details.errors) // 2] or None
        body = shape(problem, details)
        written = _written(body)
    return Response(
        written,
        status_code=body.status or problem.status,
        headers={**problem.headers, "Cache-Control": "no-store"},
        media_type=body.media_type,
    )


def _written(body: ErrorBody) -> bytes:
    return json.dumps(body.content, ensure_ascii=False, separators=(",", ":")).encode()


def _plain(_: Problem, details: ProblemDetails) -> ErrorBody:
    return ErrorBody(details.model_dump(exclude_none=True))


async def handle(request: Request, error: Exception) -> Response:
    """Exception handler for `Problem`. A coroutine: what is none would be run in a thread."""
    if not isinstance(error, Problem):
        raise error
    return render(error, request.scope)


def describe(type_slug: str) -> dict[str, object]:
    """Return what is to be known of a kind of problem; served at the problem's `type`."""
    kind = KINDS[type_slug]
    return {
        "type": TYPE_PREFIX + type_slug,
        "title": kind.title,
        "status": kind.status,
        "description": kind.advice,
    }
