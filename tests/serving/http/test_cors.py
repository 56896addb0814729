"""Web pages of other origins: none by default, the named ones where set; errors included."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from serving.base.problems import Problem
from serving.http.cors import EXPOSED_HEADERS, CorsMiddleware
from serving.http.problem_middleware import ProblemMiddleware
from tests.asking import PICTURE, caption, check
from tests.drawings import caption_of
from tests.locked import ANNA, SETTING, bearer
from tests.server import Server

APP = "http://app.example"
OTHER = "http://other.example"
PATHS = ("/caption", "/caption_url", "/caption_batch", "/v1/chat/completions", "/v1/models")

ALLOWED = "access-control-allow-origin"


def asking(
    origin: str, method: str = "POST", headers: str = "authorization,content-type"
) -> dict[str, str]:
    """Return the headers of a preflight, as browsers send it."""
    wanted = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": headers}
    return {"Origin": origin, **wanted}


@pytest.fixture(scope="module")
def open_to(bentoml_home: Path, start_server: Callable[..., Server]) -> Server:
    """Return a server that wants a key, takes small bodies, and lets one origin's pages in."""
    origins = f"{APP}, https://second.example:8443"
    return start_server(
        bentoml_home, cors_origins=origins, api_keys=SETTING, max_upload_mb="1", max_pixels="1e4"
    )


@pytest.fixture
def page(open_to: Server) -> Iterator[httpx.Client]:
    """Return a client that asks as a page of the allowed origin does, with its key."""
    headers = {"Origin": APP, **bearer(ANNA)}
    with httpx.Client(base_url=open_to.url, headers=headers, timeout=30) as client:
        yield client


@pytest.mark.parametrize("path", PATHS)
def test_a_preflight_needs_no_key(open_to: Server, path: str) -> None:
    for origin in (APP, "https://second.example:8443"):
        answer = httpx.options(open_to.url + path, headers=asking(origin))
        assert answer.status_code == 200 and answer.headers[ALLOWED] == origin
        assert "POST" in answer.headers["access-control-allow-methods"]
        assert answer.headers["access-control-allow-headers"] == "authorization,content-type"
        assert "access-control-allow-credentials" not in answer.headers
        assert answer.headers["x-request-id"] and answer.headers["x-captionbox-version"]
        assert "Origin" in answer.headers["vary"]


@pytest.mark.parametrize(
    "headers",
    [asking(OTHER), asking("null"), asking(APP + ".evil"), asking(APP, method="DELETE")],
    ids=["other", "null", "longer", "method"],
)
def test_a_preflight_that_is_refused(open_to: Server, headers: dict[str, str]) -> None:
    answer = httpx.options(f"{open_to.url}/caption", headers=headers)
    check(answer, 403, "forbidden")
    assert ALLOWED not in answer.headers


def test_a_page_reads_captions_and_headers(page: httpx.Client) -> None:
    answer = caption(page)
    assert answer.json()["captions"][0]["text"] == caption_of("red ring")
    assert answer.headers[ALLOWED] == APP
    assert set(answer.headers["access-control-expose-headers"].split(", ")) == set(EXPOSED_HEADERS)


@pytest.mark.parametrize(
    ("status", "ask"),
    [
        (401, lambda page: page.get("/v1/models", headers={"Authorization": ""})),
        (403, lambda page: page.post("/caption_url", json={"url": "http://x/"})),
        (404, lambda page: page.get("/nothing")),
        (404, lambda page: caption(page, model="nobody")),
        (405, lambda page: page.delete("/caption")),
        (405, lambda page: page.options("/caption")),
        (413, lambda page: caption(page, b"x" * 1_100_000)),
        (415, lambda page: caption(page, b"%PDF")),
        (422, lambda page: caption(page, num_beams="99")),
        (400, lambda page: page.post("/v1/chat/completions", json={})),
    ],
)
def test_errors_have_the_headers(
    page: httpx.Client, status: int, ask: Callable[[httpx.Client], httpx.Response]
) -> None:
    answer = ask(page)
    assert answer.status_code == status, answer.text
    assert answer.headers[ALLOWED] == APP
    assert answer.headers["x-request-id"] == answer.json()["request_id"]


def test_other_origins_and_programs_are_served_without_the_headers(open_to: Server) -> None:
    for headers in ({"Origin": OTHER}, {}):
        answer = httpx.get(f"{open_to.url}/v1/models", headers={**headers, **bearer(ANNA)})
        assert answer.status_code == 200 and ALLOWED not in answer.headers


def test_by_default_nobody_is_let_in(client: httpx.Client) -> None:
    for path in PATHS:
        answer = client.options(path, headers=asking(APP))
        assert answer.status_code == 405 and ALLOWED not in answer.headers
    answer = client.post("/caption", files={"image": PICTURE}, headers={"Origin": APP})
    assert answer.status_code == 200 and ALLOWED not in answer.headers


# --- what a server cannot easily be brought to answer --------------------------------------------


async def _failing(scope: Scope, _: Receive, __: Send) -> None:
    kinds = {"/busy": "too-many-requests", "/slow": "timeout", "/starting": "not-ready"}
    if scope["path"] in kinds:
        raise Problem(kinds[scope["path"]])
    raise RuntimeError("unforeseen")


@pytest.mark.parametrize("origins", [(APP,), ("*",), (OTHER, "*")], ids=str)
@pytest.mark.parametrize(
    ("path", "status"), [("/busy", 429), ("/boom", 500), ("/starting", 503), ("/slow", 504)]
)
def test_whatever_goes_wrong(origins: tuple[str, ...], path: str, status: int) -> None:
    client = TestClient(CorsMiddleware(ProblemMiddleware(_failing), origins))
    answer = client.get(path, headers={"Origin": APP})
    assert answer.status_code == status
    assert answer.headers[ALLOWED] == ("*" if "*" in origins else APP)
    exposed = answer.headers["access-control-expose-headers"]
    assert "Retry-After" in exposed and "X-Request-ID" in exposed
    assert ("retry-after" in answer.headers) == (status in (429, 503))


def test_everyone() -> None:
    client = TestClient(CorsMiddleware(ProblemMiddleware(_failing), ("*",)))
    for origin in (APP, "null", "chrome-extension://abcdef"):
        answer = client.options("/x", headers=asking(origin, headers="x-api-key"))
        assert (answer.status_code, answer.headers[ALLOWED]) == (200, "*")
        assert answer.headers["access-control-allow-headers"] == "x-api-key"


def test_a_public_page_may_ask_a_private_server() -> None:
    client = TestClient(CorsMiddleware(ProblemMiddleware(_failing), (APP,)))
    headers = {**asking(APP), "Access-Control-Request-Private-Network": "true"}
    answer = client.options("/x", headers=headers)
    assert answer.headers["access-control-allow-private-network"] == "true"
    headers["Origin"] = OTHER
    assert client.options("/x", headers=headers).status_code == 403
