"""Problem details: every shape of error becomes one, on every way out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator

import pytest
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from models.api.options import CaptionOptions
from serving.base.problems import KINDS, Problem, from_validation
from serving.contract.problem_details import ProblemDetails
from serving.http import problem_answers
from serving.http.access import AccessMiddleware
from serving.http.body_limit import BodyLimitMiddleware
from serving.http.framework_errors import from_framework
from serving.http.known_paths import KnownPathsMiddleware
from serving.http.problem_answers import ErrorBody, handle, shape_errors
from serving.http.problem_middleware import ProblemMiddleware

SECRET = "/srv/secret/path.py"


async def _answer(request: Request) -> Response:
    """Answer as the framework would: the shape and status come with the query."""
    status = int(request.query_params["status"])
    shape = request.query_params["shape"]
    headers = dict(item.split("=") for item in request.query_params.getlist("header"))
    if shape == "text":
        return PlainTextResponse(SECRET, status, headers=headers)
    content = {"dict": {"error": SECRET}, "list": [{"error": SECRET}]}[shape]
    return JSONResponse(content, status, headers=headers)


async def _raise(request: Request) -> Response:
    raise {
        "problem": Problem("overloaded", "Too busy."),
        "http": HTTPException(418, SECRET),
        "bug": RuntimeError(SECRET),
        "gone": ClientDisconnect(),
    }[request.query_params["what"]]


async def _read(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


async def _stream(_: Request) -> Response:
    async def chunks() -> Iterator[bytes]:
        yield b"part"
        raise RuntimeError(SECRET)

    return StreamingResponse(chunks())


@pytest.fixture
def client() -> TestClient:
    routes = [
        Route("/answer", _answer),
        Route("/raise", _raise),
        Route("/read", _read, methods=["POST"]),
        Route("/stream", _stream),
    ]
    app = Starlette(routes=routes, exception_handlers={Problem: handle})
    app.add_middleware(BodyLimitMiddleware, max_bytes=1000)
    return TestClient(ProblemMiddleware(KnownPathsMiddleware(app)), raise_server_exceptions=False)


def check(response: Response, status: int, slug: str) -> ProblemDetails:
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    details = ProblemDetails.model_validate(response.json())
    assert details.type == f"/problems/{slug}" and details.status == status
    assert details.request_id == response.headers["x-request-id"]
    assert "secret" not in response.text or status < 500
    return details


@pytest.mark.parametrize("shape", ["text", "dict", "list"])
@pytest.mark.parametrize(
    ("status", "slug"),
    [
        (400, "malformed-request"),
        (401, "unauthorized"),
        (403, "forbidden"),
        (404, "not-found"),
        (405, "method-not-allowed"),
        (409, "malformed-request"),
        (413, "too-large"),
        (415, "unsupported-media-type"),
        (422, "invalid-request"),
        (429, "too-many-requests"),
        (500, "internal-error"),
        (502, "internal-error"),
        (503, "overloaded"),
        (504, "timeout"),
    ],
)
def test_every_shape_of_the_framework_becomes_a_problem(
    client: TestClient, shape: str, status: int, slug: str
) -> None:
    response = client.get("/answer", params={"status": status, "shape": shape})
    details = check(response, status, slug)
    assert details.instance == "/answer"
    if status >= 500:
        assert SECRET not in response.text
    if status in (429, 503):
        assert int(response.headers["retry-after"]) > 0


def test_headers_that_matter_are_kept(client: TestClient) -> None:
    header = ["Allow=POST", "Retry-After=7", "WWW-Authenticate=Bearer", "X-Powered-By=secret"]
    response = client.get("/answer", params={"status": 405, "shape": "text", "header": header})
    check(response, 405, "method-not-allowed")
    assert response.headers["allow"] == "POST"
    assert response.headers["retry-after"] == "7"
    assert response.headers["www-authenticate"] == "Bearer"
    assert "x-powered-by" not in response.headers


def test_what_is_raised(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    details = check(client.get("/raise?what=problem"), 503, "overloaded")
    assert details.detail == "Too busy."
    assert check(client.get("/raise?what=http"), 418, "malformed-request").title == "I'm a Teapot"
    assert not [record for record in caplog.records if record.exc_info]
    details = check(client.get("/raise?what=bug"), 500, "internal-error")
    assert [record for record in caplog.records if record.exc_info]
    assert f"id {details.request_id}" in caplog.text


def test_a_client_that_goes_away_is_no_error(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    client.get("/raise?what=gone")
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_an_unknown_address_and_a_wrong_method(client: TestClient) -> None:
    assert check(client.get("/nowhere/é"), 404, "not-found").instance == "/nowhere/%C3%A9"
    response = client.post("/answer")
    check(response, 405, "method-not-allowed")
    assert set(response.headers["allow"].split(", ")) == {"GET", "HEAD"}


def test_a_face_has_errors_in_its_own_shape(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shape(problem: Problem, details: ProblemDetails) -> ErrorBody:
        said = {"error": f"{problem.type_slug}: {details.detail}"}
        return ErrorBody(said, "application/json")

    monkeypatch.setattr(problem_answers, "_shapes", {})
    shape_errors("/r", shape)
    theirs = TestClient(AccessMiddleware(client.app), raise_server_exceptions=False)
    for method, path, status, said in [
        ("GET", "/raise?what=problem", 503, "overloaded: Too busy."),
        ("GET", "/raise?what=bug", 500, f"internal-error: {KINDS['internal-error'].advice}"),
        ("GET", "/read", 405, f"method-not-allowed: {KINDS['method-not-allowed'].advice}"),
        ("GET", "/refused", 404, f"not-found: {KINDS['not-found'].advice}"),
    ]:
        response = theirs.request(method, path)
        assert (response.status_code, response.json()) == (status, {"error": said}), path
        assert response.headers["content-type"] == "application/json"
        assert response.headers["x-request-id"]
    check(theirs.get("/answer?status=404&shape=text"), 404, "not-found")


def test_an_answer_under_way_is_not_mixed_with_a_problem(client: TestClient) -> None:
    assert client.get("/stream").text == "part"


@pytest.mark.parametrize(
    ("sent", "kept"),
    [("abc-123", True), ("x" * 128, True), ("x" * 129, False), ("a b", False), ("", False)],
)
def test_request_identity(client: TestClient, sent: str, kept: bool) -> None:
    for path in ("/read", "/nowhere"):
        got = client.post(path, headers={"X-Request-ID": sent}).headers["x-request-id"]
        assert (got == sent) == kept
        assert 0 < len(got) <= 128


# --- body limit ---------------------------------------------------------------------------------


def in_chunks(size: int) -> Iterator[bytes]:
    for start in range(0, size, 100):
        yield b"x" * min(100, size - start)


@pytest.mark.parametrize("body", [bytes, lambda size: in_chunks(size)], ids=["sized", "chunked"])
def test_body_limit(client: TestClient, body: Callable[[int], bytes]) -> None:
    assert client.post("/read", content=body(1000)).text == "1000"
    details = check(client.post("/read", content=body(1001)), 413, "too-large")
    assert "MiB" in details.detail


def test_an_announced_body_is_refused_before_it_is_read() -> None:
    events: list[str] = []

    async def receive() -> Message:
        events.append("read")
        return {"type": "http.request", "body": b"x" * 1000, "more_body": True}

    async def send(message: Message) -> None:
        events.append(f"{message['type']} {message.get('status', '')}".strip())

    async def inside(*_: object) -> None:
        pytest.fail("the request was let through")

    scope = {"type": "http", "path": "/", "headers": [(b"content-length", b"99999999999")]}
    asyncio.run(BodyLimitMiddleware(inside, max_bytes=2000)(scope, receive, send))
    assert events[:2] == ["http.response.start 413", "http.response.body"]
    # Then a bounded rest is dropped, so that the client gets to read the answer.
    assert events[2:-1] == ["read"] * 8 and events[-1] == "http.response.body"


def test_a_connection_that_the_server_has_closed_is_no_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As when the rest of a body turns out to be malformed while the answer is being made."""
    tried: list[str] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def closed(message: Message) -> None:
        tried.append(message["type"])
        raise RuntimeError("can't handle event type Response when state=MUST_CLOSE")

    async def answering(scope: Scope, receive: Receive, send: Send) -> None:
        await Response("an answer", headers={"x-part": "1"})(scope, receive, send)

    async def refusing(*_: object) -> None:
        raise Problem("invalid-request")

    scope = {"type": "http", "method": "POST", "path": "/", "headers": []}
    for app in (answering, refusing):
        asyncio.run(ProblemMiddleware(app)(dict(scope), receive, closed))
    assert tried == ["http.response.start"] * 2
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


# --- details ------------------------------------------------------------------------------------


def test_the_frameworks_validation_errors_name_the_fields() -> None:
    body = {
        "error": "1 validation error for Input",
        "detail": [{"type": "missing", "loc": ["image"], "msg": "Field required"}],
    }
    problem = from_framework(400, json.dumps(body).encode(), {})
    assert (problem.status, problem.type_slug) == (422, "invalid-request")
    assert problem.errors is not None and problem.errors[0].field == "image"
    assert problem.detail == "image: Field required"


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"[1,2]", b"null", b'{"detail": [3]}', b"\xff{", b"7"]
)
def test_odd_bodies_do_no_harm(body: bytes) -> None:
    assert from_framework(404, body, {}).type_slug == "not-found"


def test_validation_errors_name_field_limit_and_value() -> None:
    with pytest.raises(ValidationError) as error:
        CaptionOptions.model_validate({"num_beams": "99", "top_p": "x" * 500})
    problem = from_validation(error.value)
    assert problem.errors is not None
    beams, top_p = problem.errors
    assert beams.field == "num_beams" and "8" in beams.detail and beams.received == "99"
    assert top_p.received is not None and len(top_p.received) == 100
    assert "num_beams: should be less than or equal to 8, got '99'" in problem.detail


def test_options_that_contradict_each_other_are_explained() -> None:
    with pytest.raises(ValidationError) as error:
        CaptionOptions.model_validate({"seed": "1"})
    assert "seed applies to sampling" in from_validation(error.value).detail


def test_kinds_are_complete() -> None:
    for slug, kind in KINDS.items():
        assert 400 <= kind.status < 600
        assert slug == slug.lower() and " " not in slug
        assert kind.title and kind.advice.endswith(".")
