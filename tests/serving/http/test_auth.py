"""API keys on a real server: every route, both headers, every client, and what a log may tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import bentoml
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient

from serving.base.keys import KeyRing, make_entry, parse_entries
from serving.base.problems import KINDS
from serving.http.auth import AuthMiddleware, open_paths
from serving.http.problem_middleware import ProblemMiddleware
from tests.asking import PICTURE, assert_logged, caption, check
from tests.drawings import caption_of
from tests.locked import ANNA, BERT, CARL, SECRETS, STRANGER, bearer
from tests.server import Server

OPEN = ["/", "/js/main.js", "/css/page.css", "/icon.svg", "/docs", "/docs/swagger-ui.js"]
OPEN += ["/docs.json", "/livez", "/readyz", "/healthz", *(f"/problems/{slug}" for slug in KINDS)]


@pytest.fixture(scope="module")
def server(locked_server: Server) -> Server:
    return locked_server


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=30) as client:
        yield client


# --- doors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "ODD"])
@pytest.mark.parametrize(
    "path",
    [
        *("/caption", "/caption_url", "/caption_batch", "/match", "/v1/models"),
        *("/v1/models/compact", "/v1/chat/completions", "/metrics", "/schema.json"),
        *("/caption/", "/v1//livez", "/livez/", "/LIVEZ", "/livez/../caption", "/nothing"),
    ],
)
def test_closed_without_a_key(client: httpx.Client, method: str, path: str) -> None:
    # Whether an address exists is not told either.
    response = client.request(method, path)
    if method == "HEAD":
        assert (response.status_code, response.content) == (401, b"")
    else:
        assert "X-API-Key" in check(response, 401, "unauthorized").detail
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", OPEN)
def test_open_without_a_key(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code == 200
    assert client.get(path, headers=bearer(STRANGER)).status_code == 200


@pytest.mark.parametrize("key", [ANNA, BERT])
@pytest.mark.parametrize(
    "header", ["Authorization: Bearer ", "authorization:bearer  ", "x-api-key:"]
)
def test_both_headers_and_both_sources_of_keys(client: httpx.Client, key: str, header: str) -> None:
    name, _, start = header.partition(":")
    headers = {name: start.lstrip() + key}
    response = client.post("/caption", files={"image": PICTURE}, headers=headers)
    assert response.json()["captions"][0]["text"] == caption_of("red ring")
    for path in ("/v1/models", "/metrics", "/schema.json"):
        assert client.get(path, headers=headers).status_code == 200
    check(client.get("/nothing", headers=headers), 404, "not-found")
    check(client.get("/caption", headers=headers), 405, "method-not-allowed")


@pytest.mark.parametrize(
    "headers",
    [
        bearer(STRANGER),
        bearer(ANNA[:-1]),
        bearer(ANNA + "x"),
        bearer(ANNA.upper()),
        bearer(f"{ANNA} {ANNA}"),
        bearer(make_entry("anna", ANNA)),
        bearer(make_entry("anna", ANNA).split(":")[1]),
        {"X-API-Key": STRANGER},
        {"X-API-Key": f"Bearer {ANNA}"},
        {"X-API-Key": "\u00fc".encode()},
    ],
    ids=str,
)
def test_wrong_keys(client: httpx.Client, headers: dict[str, str]) -> None:
    response = client.get("/v1/models", headers=headers)
    assert "not one that is accepted" in check(response, 401, "unauthorized").detail
    assert response.headers["www-authenticate"] == 'Bearer error="invalid_token"'


@pytest.mark.parametrize(
    "headers",
    [{"Authorization": ANNA}, {"Authorization": f"Basic {ANNA}"}, {"Authorization": "Bearer"}],
    ids=str,
)
def test_no_keys(client: httpx.Client, headers: dict[str, str]) -> None:
    response = client.get(f"/v1/models?api_key={ANNA}", headers=headers)
    check(response, 401, "unauthorized")
    assert response.headers["www-authenticate"] == "Bearer"


def test_a_key_beside_another_scheme(client: httpx.Client) -> None:
    # A proxy's own password, for one.
    headers = {"Authorization": "Basic dTpw", "X-API-Key": ANNA}
    assert client.get("/v1/models", headers=headers).status_code == 200


def test_refused_before_the_body_is_read(client: httpx.Client) -> None:
    """Neither its size, nor its kind, nor what is in it is looked at."""
    taken = 0

    def body() -> Iterator[bytes]:
        nonlocal taken
        for _ in range(400):
            taken += 1
            yield b"x" * 10_000

    check(client.post("/caption", content=b"x" * 3_000_000), 401, "unauthorized")
    check(client.post("/caption", content=body()), 401, "unauthorized")
    assert taken > 0
    # The connection is still good.
    too_large = client.post("/caption", content=b"x" * 3_000_000, headers=bearer(ANNA))
    check(too_large, 413, "too-large")


# --- clients -------------------------------------------------------------------------------------


def test_bentomls_client(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "ring.png"
    path.write_bytes(PICTURE)
    with bentoml.SyncHTTPClient(server.url, token=ANNA) as bento:
        answer = bento.caption(image=path)
    assert answer["captions"][0]["text"] == caption_of("red ring")


# --- what is told of keys ------------------------------------------------------------------------


def test_the_log_tells_names_and_never_keys(server: Server, client: httpx.Client) -> None:
    for key in SECRETS:
        client.get(f"/v1/models/{key[:4]}", headers={**bearer(key), "X-API-Key": key})
    response = caption(client, b"no picture")
    refused = client.post("/caption", files={"image": b"x"}, headers=bearer(ANNA))
    check(refused, 415, "unsupported-image")
    assert_logged(server, response.headers["x-request-id"], 401, "unauthorized")
    identity = refused.headers["x-request-id"]
    assert_logged(server, identity, 415, "unsupported-image", more=", key anna")
    log = server.log.read_text(errors="replace")
    for secret in SECRETS:
        assert secret not in log


def test_metrics_count_by_name(client: httpx.Client) -> None:
    def counts() -> dict[str, float]:
        text = client.get("/metrics", headers=bearer(ANNA)).text
        return {
            sample.labels["key"]: sample.value
            for family in text_string_to_metric_families(text)
            if family.name == "captionbox_requests_by_key"
            for sample in family.samples
            if sample.name.endswith("_total")
        }

    before = counts()
    for _ in range(3):
        caption(client)
        client.get("/v1/models", headers=bearer(BERT))
    after = counts()
    assert set(after) <= {"anna", "bert", "carl"}
    assert after["bert"] - before.get("bert", 0) == 3
    assert after["anna"] - before["anna"] == 1


def test_a_key_added_to_the_file_is_let_in(client: httpx.Client, key_file: Path) -> None:
    assert client.get("/v1/models", headers=bearer(CARL)).status_code == 401
    content = key_file.read_text()
    key_file.write_text(f"{content}\n{make_entry('carl', CARL)}\n")
    assert client.get("/v1/models", headers=bearer(CARL)).status_code == 200
    key_file.write_text(content)
    assert client.get("/v1/models", headers=bearer(CARL)).status_code == 401
    assert client.get("/v1/models", headers=bearer(BERT)).status_code == 200


def test_the_document_says_what_needs_a_key(client: httpx.Client) -> None:
    document = client.get("/docs.json").json()
    assert document["security"] == [{"bearer": []}, {"header": []}]
    assert set(document["components"]["securitySchemes"]) == {"bearer", "header"}
    for path, item in document["paths"].items():
        for operation in item.values():
            is_open = path in ("/livez", "/readyz", "/healthz")
            assert (operation.get("security") == []) == is_open, path
            assert ("401" in operation["responses"]) == (not is_open), path


# --- other settings ------------------------------------------------------------------------------


def test_open_server_says_so(bentoml_home: Path, start_server: Callable[..., Server]) -> None:
    """One without keys that listens to all: keys that clients send do no harm."""
    server = start_server(bentoml_home, host="0.0.0.0", metrics_open="true")
    assert "no API keys are set, and the server listens on 0.0.0.0" in server.tail()
    with httpx.Client(base_url=server.url, headers=bearer(STRANGER), timeout=30) as client:
        assert caption(client).status_code == 200
        assert "security" not in client.get("/docs.json").json()
    server.stop()


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="no IPv6 here")
def test_both_kinds_of_addresses(bentoml_home: Path, start_server: Callable[..., Server]) -> None:
    server = start_server(bentoml_home, host="::")
    assert "the server listens on ::" in server.tail()
    for url in (server.url, f"http://[::1]:{server.port}"):
        with httpx.Client(base_url=url, timeout=30) as client:
            assert caption(client).status_code == 200
    server.stop()


@pytest.mark.parametrize("metrics_open", [True, False])
def test_open_metrics(metrics_open: bool) -> None:
    inside = Starlette(routes=[Route("/metrics", lambda _: Response()), Route("/x", Response())])
    keys = KeyRing(parse_entries(make_entry("anna", ANNA)))
    guarded = AuthMiddleware(inside, keys, open_paths([], metrics_open))
    client = TestClient(ProblemMiddleware(guarded))
    assert client.get("/metrics").status_code == (200 if metrics_open else 401)
    check(client.get("/x"), 401, "unauthorized")


def test_a_key_in_place_of_its_hash_stops_the_start(
    bentoml_home: Path, start_server: Callable[..., Server]
) -> None:
    with pytest.raises(AssertionError, match="captionbox: CAPTIONBOX_API_KEYS: entry 1") as ended:
        start_server(bentoml_home, api_keys=f"anna:{ANNA}")
    assert ANNA not in str(ended.value) and "Traceback" not in str(ended.value)
