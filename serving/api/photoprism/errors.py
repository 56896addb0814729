"""Problems as PhotoPrism reads them: a number and a text."""

from __future__ import annotations

from serving.base.problems import Problem
from serving.contract.problem_details import ProblemDetails
from serving.http.problem_answers import ErrorBody

PREFIX = "/api/v1/vision/"

_STATUSES = {415: 400, 422: 400, 503: 429}
"""What is another status here: of what is wrong with a request there is one only, and who is told
that there is no room now is to try again later."""


def photoprism_errors(problem: Problem, details: ProblemDetails) -> ErrorBody:
    """Shape the error answers below `PREFIX`."""
    status = _STATUSES.get(problem.status, problem.status)
    content = {"id": details.request_id, "code": status, "error": problem.detail}
    return ErrorBody(content, "application/json", status)
