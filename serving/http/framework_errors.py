"""Reads the error answers that BentoML and Starlette make, in their three shapes.

Validation: `{"error": …, "detail": [pydantic errors]}`. Other exceptions: `{"error": …}` or, for
`BentoMLException`, a list that holds it. 404, 405 and failed probes: plain text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from serving.base.problems import FieldError, Problem, invalid_field, invalid_fields

_SLUGS = {
    400: "malformed-request",
    401: "unauthorized",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    408: "upload-too-slow",
    413: "too-large",
    415: "unsupported-media-type",
    422: "invalid-request",
    429: "too-many-requests",
    500: "internal-error",
    503: "overloaded",
    504: "timeout",
}


def from_framework(status: int, body: bytes, headers: Mapping[str, str]) -> Problem:
    """Return the problem for an error answer of the framework.

    Args:
        status: its status code; a failed validation (400 there) becomes a 422.
        body: its body. Texts of 5xx answers are dropped: they may tell internals.
        headers: response headers to keep, such as `Allow`.
    """
    content = _read(body) if status < 500 else None
    fields = _field_errors(content)
    if fields:
        problem = invalid_fields(fields)
        problem.headers.update(headers)
        return problem
    slug = _SLUGS.get(status)
    if slug is None:
        problem = Problem("internal-error" if status >= 500 else "malformed-request")
        problem.status, problem.title = status, _phrase(status)
        problem.headers.update(headers)
        return problem
    return Problem(slug, _error_text(content), headers)


def _read(body: bytes) -> Any:
    try:
        content = json.loads(body)
    except ValueError:
        return None
    # The list comes from a stray comma in the framework: ({"error": …},).
    return content[0] if isinstance(content, list) and len(content) == 1 else content


def _error_text(content: Any) -> str | None:
    text = content.get("error") if isinstance(content, dict) else None
    return text if isinstance(text, str) and text else None


def _field_errors(content: Any) -> list[FieldError]:
    details = content.get("detail") if isinstance(content, dict) else None
    if not isinstance(details, list):
        return []
    return [
        invalid_field(
            ".".join(str(part) for part in item.get("loc", ())) or "the request",
            str(item.get("msg", "is not valid")).removeprefix("Input "),
        )
        for item in details
        if isinstance(item, dict)
    ]


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
