"""The client's view of the interface against the server's own code.

Only tests look at both: the package itself imports nothing of the server.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from captionbox import CaptionOptions, results, version
from captionbox.cli.output.endings import Fault, fault_of
from captionbox.errors import status_error
from captionbox.options import describe
from captionbox.problems import Problem
from pydantic import BaseModel

from models.api import options as api_options
from models.api import results as api_results
from serving.base import version as serving_version
from serving.base.problems import KINDS
from serving.contract import schemas
from serving.contract.problem_details import ProblemDetails


def test_every_option_of_the_server_is_known() -> None:
    assert set(api_options.CaptionOptions.model_fields) <= set(CaptionOptions.__annotations__)


@pytest.mark.parametrize("name", api_options.CaptionOptions.model_fields)
def test_documented_limits_are_the_servers(name: str) -> None:
    """Every limit that the server has stands in the option's description."""
    text = describe(name)
    numbers = {float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", text)}
    for constraint in api_options.CaptionOptions.model_fields[name].metadata:
        for side in ("ge", "le", "gt", "min_length", "max_length"):
            limit = getattr(constraint, side, None)
            if limit is not None:
                assert float(limit) in numbers, (name, side, limit, text)
                assert side != "gt" or f"above {limit:g}" in text


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (api_results.Caption, results.Caption),
        (api_results.WordAttention, results.WordAttention),
        (schemas.CaptionResponse, results.CaptionResult),
        (schemas.ModelInfo, results.ModelUsed),
        (schemas.ImageInfo, results.ImageInfo),
        (schemas.Timing, results.Timing),
        (schemas.ServedModel, results.ModelInfo),
        (schemas.ModelsResponse, results.ModelList),
        (schemas.Match, results.Match),
        (schemas.MatchResponse, results.MatchResult),
        (ProblemDetails, Problem),
    ],
)
def test_results_have_the_servers_fields(theirs: type[BaseModel], ours: type[BaseModel]) -> None:
    assert set(ours.model_fields) <= set(theirs.model_fields)
    needed: Any = {name for name, field in ours.model_fields.items() if field.is_required()}
    assert needed <= {name for name, field in theirs.model_fields.items()}


def test_the_servers_example_can_be_read() -> None:
    example = schemas.CaptionResponse.model_config["json_schema_extra"]["example"]
    assert results.CaptionResult.model_validate(example).text == "A dog runs on the grass."
    example = schemas.MatchResponse.model_config["json_schema_extra"]["example"]
    assert results.MatchResult.model_validate(example).best.text == "a dog on the grass"


def test_versions_go_together() -> None:
    assert version.speaks_with(serving_version.__version__)


FAULTS = {
    "malformed-request": Fault.IMAGE,
    "upload-too-slow": Fault.SERVER_ILL,
    "too-large": Fault.IMAGE,
    "unsupported-image": Fault.IMAGE,
    "broken-image": Fault.IMAGE,
    "too-many-pixels": Fault.IMAGE,
    "too-many-requests": Fault.SERVER_ILL,
    "internal-error": Fault.SERVER_ILL,
    "overloaded": Fault.SERVER_ILL,
    "engine-unavailable": Fault.SERVER_ILL,
    "not-ready": Fault.SERVER_ILL,
    "timeout": Fault.SERVER_ILL,
    "url-refused": Fault.IMAGE,
    "url-answer": Fault.IMAGE,
    "url-unreachable": Fault.SERVER_ILL,
    "url-timeout": Fault.SERVER_ILL,
}
"""Whose fault each kind of problem is; all others are the request's."""


@pytest.mark.parametrize("kind", KINDS)
def test_whose_fault_each_kind_of_problem_is(kind: str) -> None:
    errors = [{"field": "num_beams", "detail": "too many"}] if kind == "invalid-request" else []
    problem = Problem.model_validate(
        {"status": KINDS[kind].status, "type": f"/problems/{kind}", "errors": errors}
    )
    assert fault_of(status_error(problem)) is FAULTS.get(kind, Fault.REQUEST)
