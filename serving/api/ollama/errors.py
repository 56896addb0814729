"""Problems as Ollama's clients read them: an object with one text, and statuses that they know."""

from __future__ import annotations

from serving.base.problems import Problem
from serving.contract.problem_details import ProblemDetails
from serving.http.problem_answers import ErrorBody

PREFIX = "/api/"

_STATUSES = {415: 400, 422: 400, 503: 429}
"""What is another status here. Ollama has one for whatever is wrong with a request. And whoever is
told that there is no room now tries again later; after a 503, clients give the picture up."""


def ollama_errors(problem: Problem, _: ProblemDetails) -> ErrorBody:
    """Shape the error answers below `PREFIX`."""
    status = _STATUSES.get(problem.status, problem.status)
    return ErrorBody({"error": problem.detail}, "application/json", status)
