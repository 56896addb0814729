"""Problems as OpenAI's clients read them: the `error` member that every problem on `/v1/` has."""

from __future__ import annotations

from serving.base.problems import Problem
from serving.contract.problem_details import OpenAIError, ProblemDetails
from serving.http.problem_answers import ErrorBody

PREFIX = "/v1/"
_MODEL = "/v1/models/"

_CODES = {
    "unauthorized": "invalid_api_key",
    "unknown-model": "model_not_found",
    "too-many-requests": "rate_limit_exceeded",
    "unsupported-option": "unsupported_parameter",
    "unsupported-image": "invalid_image_format",
    "broken-image": "invalid_image",
    "too-many-pixels": "image_too_large",
}
"""OpenAI's codes, where it has one for the kind of problem; ours are the kinds themselves."""

_RATE_LIMIT = 429


def openai_errors(problem: Problem, details: ProblemDetails) -> ErrorBody:
    """Shape the error answers below `PREFIX`: problem details, and the same as OpenAI has it."""
    slug = problem.type_slug
    if slug == "not-found" and details.instance.startswith(_MODEL):
        slug = "unknown-model"
    kind = "invalid_request_error"
    if problem.status >= 500:
        kind = "server_error"
    elif problem.status == _RATE_LIMIT:
        kind = "rate_limit_error"
    field = problem.errors[0].field if problem.errors else None
    error = OpenAIError(
        message=problem.detail,
        type=kind,
        param="model" if slug == "unknown-model" else field,
        code=_CODES.get(slug, slug.replace("-", "_")),
    )
    # OpenAI's have every member, null or not.
    return ErrorBody({**details.model_dump(exclude_none=True), "error": error.model_dump()})
