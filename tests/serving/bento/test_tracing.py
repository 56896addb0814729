"""Spans of a real server, sent to a real OTLP/HTTP receiver: gateway, and engine below it."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient

from serving.bento.tracing import trace_lightly
from tests.asking import check
from tests.drawings import draw, encode
from tests.server import ROOT, Server

pytest.importorskip(
    "opentelemetry.exporter.otlp.proto.http",
    reason="no OpenTelemetry: pip install -r requirements-tracing.lock",
)
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import get_current_span

GATEWAY, ENGINE = "captionbox", "captionbox-engine"


class Receiver:
    """Takes spans in; keeps them by the name of their service."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, Any]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                receiver._take(body)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def _take(self, body: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = attributes(resource.resource)["service.name"]
            for scope in resource.scope_spans:
                self.spans += [(service, span) for span in scope.spans]

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def requests(self, service: str) -> list[Any]:
        """Return the spans of the requests to a service that have come in so far."""
        kind = Span.SpanKind.SPAN_KIND_SERVER
        return [span for name, span in self.spans if name == service and span.kind == kind]

    def wait(self, service: str, fits: Callable[[Any], bool], count: int = 1) -> list[Any]:
        began = time.monotonic()
        while True:
            found = [span for span in self.requests(service) if fits(span)]
            if len(found) >= count:
                return found
            seen = [(name, span.name) for name, span in self.spans]
            assert time.monotonic() - began < 30, f"{count} of {service} wanted, came: {seen}"
            time.sleep(0.1)


def attributes(of: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in of.attributes}


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture(scope="module")
def traced(
    bentoml_home: Path, start_server: Callable[..., Server], receiver: Receiver
) -> Iterator[httpx.Client]:
    """Return a client of a server with the settings that we deliver."""
    server = start_server(
        bentoml_home,
        variables={
            "BENTOML_CONFIG": str(ROOT / "deploy/tracing.yaml"),
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "OTEL_BSP_SCHEDULE_DELAY": "200",
        },
    )
    with httpx.Client(base_url=server.url, timeout=60) as client:
        yield client
    server.stop()


def ask(client: httpx.Client, identity: str) -> None:
    """Have a picture captioned by a request of this identity."""
    image = {"image": encode(draw("red ring"))}
    answer = client.post("/caption", files=image, headers={"X-Request-ID": identity})
    assert answer.status_code == 200, answer.text


def named(identity: str) -> Callable[[Any], bool]:
    return lambda span: attributes(span).get("captionbox.request_id") == identity


def below(parent: Any) -> Callable[[Any], bool]:
    return lambda span: span.trace_id == parent.trace_id and span.parent_span_id == parent.span_id


def test_the_gateways_span_is_the_parent_of_the_engines(
    traced: httpx.Client, receiver: Receiver
) -> None:
    ask(traced, "mine")
    (gateway,) = receiver.wait(GATEWAY, named("mine"))
    assert gateway.name == "POST /caption" and not gateway.parent_span_id
    found = attributes(gateway)
    assert (found["captionbox.model"], found["captionbox.images"]) == ("compact", 1)
    (engine,) = receiver.wait(ENGINE, below(gateway))
    assert engine.name == "POST /caption"
    # One each, and none for the parts of their answers.
    assert sum(span.trace_id == gateway.trace_id for _, span in receiver.spans) == 2
    start, end = engine.start_time_unix_nano, engine.end_time_unix_nano
    # The engine's may end a moment later: its answer is read before its process is done with it.
    assert gateway.start_time_unix_nano <= start < end
    assert start <= gateway.end_time_unix_nano


def test_every_picture_of_a_batch_has_its_span_in_the_engine(
    traced: httpx.Client, receiver: Receiver
) -> None:
    files = [("images", encode(draw(name))) for name in ("red ring", "blue bar", "gold cross")]
    answer = traced.post("/caption_batch", files=files, headers={"X-Request-ID": "three"})
    assert answer.status_code == 200
    (gateway,) = receiver.wait(GATEWAY, named("three"))
    assert attributes(gateway)["captionbox.images"] == 3
    receiver.wait(ENGINE, below(gateway), 3)


def test_a_callers_trace_goes_on_and_a_problem_is_named(
    traced: httpx.Client, receiver: Receiver
) -> None:
    trace, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    headers = {"X-Request-ID": "theirs", "traceparent": f"00-{trace}-{span}-01"}
    answer = traced.post("/caption", files={"image": b"no picture"}, headers=headers)
    check(answer, 415, "unsupported-image")
    (gateway,) = receiver.wait(GATEWAY, named("theirs"))
    assert (gateway.trace_id.hex(), gateway.parent_span_id.hex()) == (trace, span)
    assert attributes(gateway)["captionbox.problem"] == "unsupported-image"


def test_probes_make_no_spans(traced: httpx.Client, receiver: Receiver) -> None:
    for path in ("/livez", "/readyz", "/metrics"):
        assert traced.get(path).status_code == 200
    ask(traced, "after")
    receiver.wait(GATEWAY, named("after"))
    paths = {span.name.split()[-1] for _, span in receiver.spans}
    assert not paths & {"/livez", "/readyz", "/healthz", "/metrics"}


def test_what_is_not_traced_is_not_recorded() -> None:
    recorded = []

    async def home(_: Request) -> Response:
        recorded.append(get_current_span().is_recording())
        return Response()

    options = {"tracer_provider": TracerProvider(), "exclude_spans": None}
    middleware = [Middleware(OpenTelemetryMiddleware, **options)]
    app = Starlette(routes=[Route("/", home)], middleware=middleware)
    trace_lightly(app)
    client = TestClient(app)
    for flags in ("00", "01"):
        client.get("/", headers={"traceparent": f"00-{16 * '0a'}-{8 * '0a'}-{flags}"})
    client.get("/")
    assert recorded == [False, True, False]
