"""Every route with every method, and every status: one shape of error, nothing of the inside."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from PIL import Image

from serving.app import create_app
from serving.base.problems import KINDS
from serving.base.settings import Settings
from serving.base.version import __version__
from serving.http.auth import METRICS_PATH, PROBES
from tests.asking import PICTURE, assert_logged, check
from tests.drawings import encode
from tests.faults import RAISING, SECRET, SLOW, SLOW_SECONDS
from tests.server import ROOT, Server

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW")
PATHS = sorted(
    {route.path for route in create_app(Settings()).routes}  # type: ignore[attr-defined]
    | PROBES
    | {METRICS_PATH, "/schema.json", "/nothing", "/v1", "/v1/nothing", "/v1/models/x/y"}
    | {"/api", "/api/", "/api/nothing", "/api/embed", "/api/v1/vision/face", "/computervision/x"}
    | {"/caption%00", "/caption%0d%0aX: y", "/%2e%2e/etc/passwd", "/é", "/" + "x" * 5000}
)

_INSIDE = re.compile(
    rf"Traceback|site-packages|\.py\b|bentoml|starlette|uvicorn|0x[0-9a-f]{{6}}"
    rf"|{re.escape(str(ROOT))}|{re.escape(SECRET)}|/tmp/|poisoned",
    re.IGNORECASE,
)


OPENAI = ("/v1/chat/completions", "/v1/responses")


def _is_photoprisms(response: httpx.Response) -> bool:
    told, status = response.json(), response.status_code
    known = status not in (415, 422, 503)
    return known and told.keys() == {"id", "code", "error"} and told["code"] == status


def _is_ollamas(response: httpx.Response) -> bool:
    told = response.json()
    return (
        told.keys() == {"error"}
        and bool(told["error"])
        and response.status_code not in (415, 422, 503)
    )


def _is_jsonrpcs(response: httpx.Response) -> bool:
    told = response.json()
    return told.keys() == {"jsonrpc", "id", "error"} and isinstance(told["error"]["code"], int)


def _is_azures(response: httpx.Response) -> bool:
    told = response.json()
    return told.keys() == {"error"} and told["error"].keys() == {"code", "message", "innererror"}


SHAPES: dict[str, Callable[[httpx.Response], bool]] = {
    "/api/v1/vision/": _is_photoprisms,
    "/api/": _is_ollamas,
    "/mcp": _is_jsonrpcs,
    "/computervision/": _is_azures,
}
"""Whether an error is of the shape that the faces' clients read, by the beginning of the path."""


def check_any(response: httpx.Response, path: str) -> None:
    """Check an answer as far as all answers are alike."""
    assert response.headers["x-captionbox-version"] == __version__
    assert re.fullmatch(r"[A-Za-z0-9._:-]{1,128}", response.headers["x-request-id"])
    if response.status_code < 400:
        return
    own_shape = next((shape for prefix, shape in SHAPES.items() if path.startswith(prefix)), None)
    kind = "application/problem+json" if own_shape is None else "application/json"
    assert response.headers["content-type"] == kind
    assert not _INSIDE.search(str(response.headers)), response.headers
    if response.status_code == 405:
        assert response.request.method not in response.headers["allow"].split(", ")
    if response.request.method == "HEAD":
        assert response.content == b""
        return
    assert not _INSIDE.search(response.text), response.text
    assert response.headers["cache-control"] == "no-store"
    if own_shape is not None:
        assert own_shape(response), response.text
        return
    slug = response.json()["type"].removeprefix("/problems/")
    status = response.status_code
    if KINDS[slug].status in (415, 422) and path in OPENAI:
        assert status == 400
    else:
        assert status == KINDS[slug].status
    details = check(response, status, slug)
    assert (details.error is not None) == path.startswith("/v1/")
    if details.error is not None:
        members = response.json()["error"]
        assert set(members) == {"message", "type", "param", "code"}
        assert members["message"] == details.detail


@pytest.mark.parametrize("method", METHODS)
def test_every_route(client: httpx.Client, method: str) -> None:
    statuses = set()
    for path in PATHS:
        response = client.request(method, path)
        check_any(response, path)
        assert response.status_code < 500, (method, path, response.text)
        statuses.add(response.status_code)
    # So that the walk is known to have been somewhere.
    assert {404, 405} <= statuses
    assert (200 in statuses) == (method in ("GET", "HEAD"))
    assert method != "POST" or {400, 415} <= statuses


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/", {"Range": "bytes=999999999-", "Accept": "text/html"}),
        ("/", {"Range": "bytes=x", "Accept": "text/html"}),
        ("/v1/models", {"Accept": "application/xml"}),
        ("/nothing", {"Accept": "image/png;q=0"}),
        ("/caption?num_beams=2&num_beams=3", {}),
        ("/v1/models", {"Content-Length": "0", "Expect": "100-continue"}),
    ],
)
def test_odd_headers(client: httpx.Client, path: str, headers: dict[str, str]) -> None:
    response = client.get(path, headers=headers)
    if response.status_code != 416:
        check_any(response, path)
    assert response.status_code < 500


@pytest.mark.parametrize("identity", ["a b", "ü".encode(), "x" * 129, "", "a\tb", "<x>", "a,b"])
@pytest.mark.parametrize("path", ["/v1/models", "/nothing", "/caption"])
def test_identities_that_are_none_are_replaced(
    client: httpx.Client, path: str, identity: str | bytes
) -> None:
    response = client.get(path, headers={"X-Request-ID": identity})
    check_any(response, path)
    assert re.fullmatch(r"[0-9a-f]{32}", response.headers["x-request-id"])


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01",
        b"POST /caption HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /caption HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /caption HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"y" * 200_000 + b"\r\n\r\n",
    ],
    ids=range(7),
)
def test_what_is_not_http_never_reaches_the_service(
    server: Server, client: httpx.Client, request_bytes: bytes
) -> None:
    """The HTTP server refuses it with a short text of its own, and closes the connection."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        answer = b""
        try:
            connection.sendall(request_bytes)
            while part := connection.recv(65536):
                answer += part
        except ConnectionError:
            pass
    assert not answer or b" 400 " in answer.split(b"\r\n")[0]
    assert not _INSIDE.search(answer.decode())
    assert client.get("/livez").status_code == 200


# --- every status, with its identity in body, header and log --------------------------------------


@pytest.fixture
def tight(tight_server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=tight_server.url, timeout=30) as client:
        yield client


def plain(colour: tuple[int, int, int]) -> bytes:
    return encode(Image.new("RGB", (64, 64), colour))


def _upload(image: bytes, **fields: str) -> Callable[[httpx.Client], httpx.Request]:
    return lambda client: client.build_request(
        "POST", "/caption", files={"image": image}, data=fields
    )


def _plain(method: str, path: str, **more: object) -> Callable[[httpx.Client], httpx.Request]:
    return lambda client: client.build_request(method, path, **more)  # type: ignore[arg-type]


JSON = {"Content-Type": "application/json"}
CHUNKS = [
    b'--b\r\nContent-Disposition: form-data; name="image"; filename="x"\r\n\r\n',
    *[b"x" * 60_000] * 10,
]


def _form(content: object) -> Callable[[httpx.Client], httpx.Request]:
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    return _plain("POST", "/caption", headers=headers, content=content)


@pytest.mark.parametrize(
    ("status", "slug", "ask"),
    [
        (400, "malformed-request", _form(b"--b\r\n\r\nx\r\n--b--")),
        (400, "malformed-request", _plain("POST", "/caption_url", headers=JSON, content=b"{")),
        (403, "urls-not-allowed", _plain("POST", "/caption_url", json={"url": "http://x/"})),
        (404, "not-found", _plain("GET", "/nothing")),
        (404, "unknown-model", _upload(PICTURE, model="nobody")),
        (404, "no-matcher", _plain("POST", "/match", files={"image": PICTURE})),
        (405, "method-not-allowed", _plain("DELETE", "/caption")),
        (413, "too-large", _upload(b"x" * 600_000)),
        (413, "too-large", _form(iter(CHUNKS))),
        (415, "unsupported-image", _upload(b"%PDF")),
        (415, "unsupported-media-type", _plain("POST", "/caption", content=b"x")),
        (422, "broken-image", _upload(PICTURE[:100])),
        (422, "too-many-pixels", _upload(encode(Image.new("RGB", (101, 100))))),
        (422, "invalid-request", _upload(PICTURE, num_beams="99")),
        (422, "unsupported-option", _upload(PICTURE, prompt="a dog")),
        (500, "internal-error", _plain("GET", "/boom")),
        (500, "internal-error", _plain("GET", "/v1/boom")),
        (500, "internal-error", _upload(plain(RAISING))),
        (504, "timeout", _plain("GET", "/late")),
    ],
    ids=lambda value: str(value) if not callable(value) else "",
)
def test_statuses(
    tight: httpx.Client,
    tight_server: Server,
    status: int,
    slug: str,
    ask: Callable[[httpx.Client], httpx.Request],
) -> None:
    request = ask(tight)
    identity = f"walk-{status}-{slug}-{time.monotonic_ns()}"
    request.headers["X-Request-ID"] = identity
    response = tight.send(request)
    check_any(response, request.url.path)
    details = check(response, status, slug)
    assert details.request_id == identity
    assert details.instance == request.url.path
    assert_logged(tight_server, identity, status, slug)


def test_too_many(tight: httpx.Client, tight_server: Server) -> None:
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(tight.post, "/caption", files={"image": plain(SLOW)})
        time.sleep(SLOW_SECONDS / 2)
        response = tight.post("/caption", files={"image": PICTURE}, headers={"X-Request-ID": "m-1"})
        check_any(response, "/caption")
        check(response, 429, "too-many-requests")
        assert int(response.headers["retry-after"]) > 0
        assert_logged(tight_server, "m-1", 429, "too-many-requests")
        assert first.result().status_code == 200


def test_an_upload_that_stands_still(tight: httpx.Client, tight_server: Server) -> None:
    head = (
        b"POST /caption HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\nX-Request-ID: late-1\r\n"
        b"Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n"
    )
    with socket.create_connection(("127.0.0.1", tight_server.port), timeout=20) as slow:
        slow.sendall(head)
        time.sleep(0.3)
        response = tight.post("/caption", files={"image": PICTURE})
        assert response.status_code == 200, "it has no place"
        answer = b""
        while not answer.endswith(b"}") and (part := slow.recv(65536)):
            answer += part
    start, _, body = answer.partition(b"\r\n\r\n")
    assert b" 408 " in start.split(b"\r\n")[0]
    assert b"application/problem+json" in start and b"x-captionbox-version" in start.lower()
    details = json.loads(body)
    assert (details["type"], details["request_id"]) == ("/problems/upload-too-slow", "late-1")
    assert_logged(tight_server, "late-1", 408, "upload-too-slow")


def test_a_fault_is_in_the_log_with_its_identity_and_nowhere_else(
    tight: httpx.Client, tight_server: Server
) -> None:
    response = tight.get("/boom", headers={"X-Request-ID": "fault-7"})
    assert SECRET not in response.text
    assert_logged(tight_server, "fault-7", 500, "internal-error")  # waits for the log
    log = tight_server.log.read_text(errors="replace")
    assert re.search(r"unhandled error on GET /boom, id fault-7\b", log)
    assert f"RuntimeError: {SECRET}" in log


def test_good_answers_have_identity_and_version_too(tight: httpx.Client) -> None:
    response = tight.post("/caption", files={"image": plain(SLOW)})
    assert response.status_code == 200
    check_any(response, "/caption")
    html = {"Accept": "text/html"}
    etag = tight.get("/", headers=html).headers["etag"]
    unchanged = tight.get("/", headers={"If-None-Match": etag, **html})
    assert unchanged.status_code == 304
    check_any(unchanged, "/")
