"""Every error and every retry, with the sync and the async client."""

from __future__ import annotations

import pickle
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http import HTTPStatus
from itertools import chain, repeat
from typing import Any

import httpx
import pytest
from captionbox import errors
from captionbox.problems import FieldProblem, Problem

from tests.client.either import Either, json_answer
from tests.client.stand_in import answer_to, picture, problem

STATUSES = {
    400: errors.BadRequestError,
    401: errors.AuthenticationError,
    402: errors.APIStatusError,
    403: errors.PermissionDeniedError,
    404: errors.NotFoundError,
    405: errors.MethodNotAllowedError,
    413: errors.PayloadTooLargeError,
    415: errors.UnsupportedMediaTypeError,
    422: errors.UnprocessableContentError,
    429: errors.RateLimitError,
    500: errors.InternalServerError,
    502: errors.BadGatewayError,
    503: errors.ServiceUnavailableError,
    504: errors.GatewayTimeoutError,
    507: errors.ServerError,
}
PICTURE = picture("one")


def good(_: httpx.Request | None = None) -> httpx.Response:
    return json_answer(answer_to(PICTURE))


def series(*answers: httpx.Response | Exception) -> Callable[[httpx.Request], httpx.Response]:
    """Give one answer after the other, good ones at the end."""
    rest = chain(answers, repeat(None))

    def answer(request: httpx.Request) -> httpx.Response:
        one = next(rest)
        if isinstance(one, Exception):
            if isinstance(one, httpx.RequestError):
                one.request = request
            raise one
        return one or good()

    return answer


@pytest.mark.parametrize("status", STATUSES)
def test_each_status_has_its_class_and_carries_the_problem(either: Either, status: int) -> None:
    fault = {"field": "num_beams", "detail": "too many", "received": "99"}
    body = problem(status, "some-kind", "Some kind", "What happened.", errors=[fault])
    with pytest.raises(errors.CaptionboxError) as caught:
        either.with_client(
            lambda _: json_answer(body, status), {"max_retries": 0}, "caption", PICTURE
        )
    error = caught.value
    assert type(error) is STATUSES[status]
    assert isinstance(error, errors.APIStatusError)
    assert error.status == status
    assert error.type == "/problems/some-kind"
    assert error.problem.kind == "some-kind"
    assert error.title == "Some kind"
    assert error.detail == "What happened."
    assert error.request_id == "request-1"
    assert error.errors == [FieldProblem(field="num_beams", detail="too many", received="99")]
    assert str(error) == f"{status} Some kind: What happened. (request id request-1)"
    assert error.transient == (status == 429 or status >= 500)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (type(error), str(error))


@pytest.mark.parametrize(
    ("status", "content", "detail", "title"),
    [
        (502, {"html": "<h1>nginx</h1>"}, None, "Bad Gateway"),
        (500, {"text": "it  broke\n"}, "it broke", "Internal Server Error"),
        (401, {"json": {"error": {"message": "No key.", "code": None}}}, "No key.", "Unauthorized"),
        (400, {"json": {"error": "short"}}, "short", "Bad Request"),
        (400, {"json": ["odd"]}, None, "Bad Request"),
        (422, {"json": {"title": 3, "detail": {"a": 1}}}, None, HTTPStatus(422).phrase),
        (599, {"content": b"\xff\xfe"}, None, "Error"),
        (404, {"json": {"status": 200, "title": "Odd"}}, None, "Odd"),
    ],
)
def test_answers_that_are_no_problem_details(
    either: Either, status: int, content: dict[str, Any], detail: str | None, title: str
) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(status, headers={"x-request-id": "from-header"}, **content)

    with pytest.raises(errors.APIStatusError) as caught:
        either.with_client(answer, {"max_retries": 0}, "caption", PICTURE)
    error = caught.value
    assert (error.status, error.title, error.detail) == (status, title, detail)
    assert error.request_id == "from-header"


def test_a_redirect_tells_the_right_address(either: Either) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(301, headers={"location": "https://server/"})

    with pytest.raises(errors.APIStatusError, match="moved to https://server/: set base_url"):
        either.call(answer, "caption", PICTURE)
    assert len(either.requests) == 1


@pytest.mark.parametrize("location", ["data:image/png;base64,AA==", "app:login", "http://["])
def test_a_redirect_to_nowhere(either: Either, location: str) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(302, headers={"location": location})

    with pytest.raises(errors.CaptionboxError):
        either.with_client(answer, {"max_retries": 0}, "caption", PICTURE)


@pytest.mark.parametrize("status", [429, 503])
def test_busy_servers_are_asked_again_with_growing_jittered_pauses(
    either: Either, status: int
) -> None:
    refusals = [httpx.Response(status) for _ in range(4)]
    result = either.call(series(*refusals), "caption", PICTURE)
    assert result.text == good().json()["captions"][0]["text"]
    assert len(either.requests) == 5
    for pause, most in zip(either.pauses, (0.5, 1, 2, 4), strict=True):
        assert most / 2 <= pause <= most
    assert len({request.content for request in either.requests}) == 1


def test_patience_ends(either: Either) -> None:
    with pytest.raises(errors.ServiceUnavailableError):
        either.with_client(lambda _: httpx.Response(503), {"max_retries": 2}, "models")
    assert len(either.requests) == 3


def test_retry_after_in_seconds_is_not_undercut(either: Either) -> None:
    refusal = httpx.Response(429, headers={"retry-after": "7"})
    either.call(series(refusal), "caption", PICTURE)
    assert 7 <= either.pauses[0] <= 7.2


def test_retry_after_as_a_date_is_not_undercut(either: Either) -> None:
    moment = datetime.now(UTC) + timedelta(seconds=20)
    refusal = httpx.Response(503, headers={"retry-after": format_datetime(moment, usegmt=True)})
    either.call(series(refusal), "caption", PICTURE)
    assert 17 <= either.pauses[0] <= 20.2


def test_a_retry_after_that_is_too_long_is_told_instead(either: Either) -> None:
    refusal = httpx.Response(429, headers={"retry-after": "3600"})
    with pytest.raises(errors.RateLimitError) as caught:
        either.call(series(refusal), "caption", PICTURE)
    assert caught.value.retry_after == 3600
    assert either.pauses == []


@pytest.mark.parametrize("status", sorted(set(STATUSES) - {429, 503}))
def test_other_statuses_are_never_asked_again(either: Either, status: int) -> None:
    with pytest.raises(STATUSES[status]):
        either.call(series(httpx.Response(status)), "caption", PICTURE)
    assert len(either.requests) == 1


@pytest.mark.parametrize(
    "failure",
    [
        httpx.ConnectError("refused"),
        httpx.ConnectTimeout("slow"),
        httpx.PoolTimeout("none free"),
        httpx.ReadError("reset"),
        httpx.WriteError("reset"),
        httpx.CloseError("odd"),
        httpx.RemoteProtocolError("Server disconnected without sending a response."),
        httpx.ProxyError("no"),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_failed_connections_are_tried_again(either: Either, failure: httpx.RequestError) -> None:
    assert either.call(series(failure, failure), "caption", PICTURE).text
    assert len(either.requests) == 3
    assert len(either.pauses) == 2

    with pytest.raises(errors.APIConnectionError, match="cannot reach http://server") as caught:
        either.with_client(series(failure, failure), {"max_retries": 1}, "caption", PICTURE)
    assert not isinstance(caught.value, errors.APITimeoutError)
    assert "in 2 tries" in str(caught.value)
    assert caught.value.__cause__ is failure


@pytest.mark.parametrize("failure", [httpx.ReadTimeout("slow"), httpx.WriteTimeout("slow")])
def test_an_answer_that_takes_too_long_is_not_asked_for_again(
    either: Either, failure: httpx.RequestError
) -> None:
    with pytest.raises(errors.APITimeoutError, match="did not answer within 60 s"):
        either.call(series(failure), "caption", PICTURE)
    assert len(either.requests) == 1


def _certificate_trouble() -> httpx.ConnectError:
    error = httpx.ConnectError("certificate verify failed: self-signed certificate")
    error.__cause__ = ssl.SSLCertVerificationError("self-signed certificate")
    return error


@pytest.mark.parametrize(
    "failure",
    [_certificate_trouble(), httpx.UnsupportedProtocol("ftp"), httpx.LocalProtocolError("odd"),
     httpx.DecodingError("bad gzip")],
    ids=lambda failure: type(failure).__name__,
)  # fmt: skip
def test_what_no_retry_cures_is_not_retried(either: Either, failure: httpx.RequestError) -> None:
    with pytest.raises(errors.APIConnectionError):
        either.call(series(failure), "caption", PICTURE)
    assert len(either.requests) == 1


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b'{"captions": []}', b'{"captions": [{"text": 3}]}', b"\xff"],
)
def test_answers_of_another_kind(either: Either, body: bytes) -> None:
    with pytest.raises(errors.UnexpectedAnswerError, match="is there a Captionbox server at"):
        either.call(lambda _: httpx.Response(200, content=body), "caption", PICTURE)


def test_an_unreadable_answer_of_another_version_says_so(either: Either) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        return json_answer({}, X_Captionbox_Version="7.1.0")

    with (
        pytest.warns(errors.CaptionboxVersionWarning, match=r"7\.1\.0"),
        pytest.raises(errors.UnexpectedAnswerError, match=r"7\.1\.0.*install the client of"),
    ):
        either.call(answer, "caption", PICTURE)


def test_one_warning_a_client_for_another_version(either: Either) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        return json_answer(answer_to(PICTURE), X_Captionbox_Version="2.0.0")

    with pytest.warns(errors.CaptionboxVersionWarning) as caught:
        assert len(either.call(answer, "caption_many", [PICTURE] * 5)) == 5
    assert len(caught) == 1


def test_a_secret_in_the_address_is_never_told() -> None:
    from captionbox import Captionbox

    client = Captionbox(
        "http://me:secret@server/x", api_key="key-1", max_retries=0,
        transport=httpx.MockTransport(series(httpx.ConnectError("no"))),
    )  # fmt: skip
    with pytest.raises(errors.APIConnectionError) as caught:
        client.models()
    for text in (str(caught.value), repr(client), client.base_url, repr(client._settings)):
        assert "secret" not in text
        assert "key-1" not in text
    assert client.base_url == "http://server/x"


def test_the_tree() -> None:
    assert issubclass(errors.APITimeoutError, errors.APIConnectionError)
    for kind in set(STATUSES.values()):
        assert issubclass(kind, errors.APIStatusError)
    for name in ("APIConnectionError", "APIStatusError", "ImageInputError",
                 "UnexpectedAnswerError"):  # fmt: skip
        assert issubclass(getattr(errors, name), errors.CaptionboxError)
    assert errors.status_error(Problem(status=503)).status == 503
    plain = pickle.loads(pickle.dumps(errors.APITimeoutError("slow")))
    assert str(plain) == "slow"
