"""Problems as MCP's clients read them: errors of JSON-RPC, which belong to no request of theirs."""

from __future__ import annotations

from serving.base.problems import Problem
from serving.contract.problem_details import ProblemDetails
from serving.http.problem_answers import ErrorBody

PATH = "/mcp"

_INVALID_REQUEST, _INTERNAL_ERROR = -32600, -32603
"""JSON-RPC's numbers."""


def mcp_errors(problem: Problem, _: ProblemDetails) -> ErrorBody:
    """Shape the error answers of `PATH`."""
    code = _INTERNAL_ERROR if problem.status >= 500 else _INVALID_REQUEST
    error = {"code": code, "message": problem.detail}
    return ErrorBody({"jsonrpc": "2.0", "id": None, "error": error}, "application/json")
