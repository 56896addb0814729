"""Problems as the clients of Azure's Image Analysis read them."""

from __future__ import annotations

from serving.base.problems import Problem
from serving.contract.problem_details import ProblemDetails
from serving.http.problem_answers import ErrorBody

PREFIX = "/computervision/"

_CODES = {401: "401", 404: "NotFound", 429: "429"}
_REFUSED = "InvalidRequest"
_FAILED = "InternalServerError"
_BAD_REQUEST = 400
_THE_REQUESTS_FAULT = (413, 415, 422)
"""Statuses that are 400 here."""


def azure_errors(problem: Problem, details: ProblemDetails) -> ErrorBody:
    """Shape the error answers below `PREFIX`."""
    status = _BAD_REQUEST if problem.status in _THE_REQUESTS_FAULT else problem.status
    code = _CODES.get(status, _FAILED if status >= 500 else _REFUSED)
    inner = {"code": problem.type_slug, "message": details.title}
    error = {"code": code, "message": problem.detail, "innererror": inner}
    return ErrorBody({"error": error}, "application/json", status)
