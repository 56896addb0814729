"""Errors say what to do, and which request it was; a client as the environment says."""

from __future__ import annotations

import pickle
from typing import Any

import httpx
import pytest
from captionbox import Captionbox, errors
from captionbox.errors import (
    APIConnectionError,
    APITimeoutError,
    CaptionboxError,
    ImageInputError,
    UnexpectedAnswerError,
    status_error,
)
from captionbox.problems import Problem

from tests.client.either import Either, json_answer
from tests.client.stand_in import answer_to, picture, problem
from tests.client.test_package import python

KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, CaptionboxError)
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_says_what_to_do(kind: type[CaptionboxError]) -> None:
    made: CaptionboxError
    if issubclass(kind, errors.APIStatusError):
        made = kind(Problem(status=418, title="Tea"))
    else:
        made = kind("no")
    assert len(made.advice) > 10


def test_the_kind_of_problem_says_more_than_the_class() -> None:
    told = problem(404, "unknown-model", "Unknown model", "No such model.")
    assert "client.models()" in status_error(Problem.model_validate(told)).advice


def raised(either: Either, handler: Any) -> CaptionboxError:
    with pytest.raises(CaptionboxError) as caught:
        either.with_client(handler, {"max_retries": 0}, "caption", picture("a"))
    return caught.value


@pytest.mark.parametrize(
    ("failure", "kind"),
    [(httpx.ConnectError("no"), APIConnectionError), (httpx.ReadTimeout("no"), APITimeoutError)],
)
def test_a_request_without_an_answer_can_be_found(
    either: Either, failure: Exception, kind: type[CaptionboxError]
) -> None:
    def fail(_: httpx.Request) -> httpx.Response:
        raise failure

    error = raised(either, fail)
    assert type(error) is kind
    assert error.request_id == either.requests[-1].headers["x-request-id"]
    assert pickle.loads(pickle.dumps(error)).request_id == error.request_id


def test_so_can_one_whose_answer_says_nothing(either: Either) -> None:
    error = raised(either, lambda _: httpx.Response(502, text="<html>"))
    assert error.request_id == either.requests[-1].headers["x-request-id"]
    error = raised(either, lambda _: json_answer({}))
    assert isinstance(error, UnexpectedAnswerError)
    assert error.request_id == either.requests[-1].headers["x-request-id"]
    told = problem(422, "broken-image", "Broken image", "Truncated.", request_id="theirs")
    assert raised(either, lambda _: json_answer(told, 422)).request_id == "theirs"


def test_every_request_has_an_identity_of_its_own(either: Either) -> None:
    either.call(lambda _: json_answer(answer_to(b"")), "caption_many", [picture("a")] * 3)
    assert len({one.headers["x-request-id"] for one in either.requests}) == 3


def test_nothing_was_sent() -> None:
    assert ImageInputError("no such file").request_id is None


def test_as_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"BASE_URL": "http://host:1", "TIMEOUT": "7.5", "MAX_RETRIES": "2"}.items():
        monkeypatch.setenv(f"CAPTIONBOX_{name}", value)
    with Captionbox.from_env() as client:
        assert client.base_url == "http://host:1"
        assert (client._settings.timeout, client._settings.max_retries) == (7.5, 2)
    with Captionbox.from_env(timeout=1, base_url="http://other:2") as client:
        assert (client.base_url, client._settings.timeout) == ("http://other:2", 1)
    monkeypatch.setenv("CAPTIONBOX_MAX_RETRIES", "many")
    with pytest.raises(ValueError, match="CAPTIONBOX_MAX_RETRIES is a number"):
        Captionbox.from_env()


def test_it_is_there_within_50_milliseconds() -> None:
    times = []
    for _ in range(5):
        lines = python("import captionbox", "-X", "importtime").splitlines()
        ours = [line.split("|") for line in lines if line.split("|")[-1].strip() == "captionbox"]
        times.append(int(ours[0][1]) / 1000)
    assert min(times) < 50
