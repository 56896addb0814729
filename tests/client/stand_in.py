"""A small HTTP server that speaks Captionbox's interface, keeps a log, and fails when told to.

For what a real server is too slow or too healthy for. Captions are made of the picture's bytes, so
that a test can tell whose caption it got.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from tests.threads import serving

VERSION = "0.1.0"
BROKEN = b"BROKEN"
"""A picture that holds this is damaged."""

SIZE = (640, 480)
"""Width and height of every picture."""

_PICTURES = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"II*\0", b"picture")
_NAME = re.compile(rb'name="([^"]*)"(?:; filename="([^"]*)")?')


SCHEMA: dict[str, Any] = {
    "name": "caption",
    "route": "/caption",
    "input": {
        "type": "object",
        "properties": {
            "image": {"type": "file", "format": "image"},
            "model": {"type": "string"},
            "num_beams": {"type": "integer"},
        },
        "required": ["image"],
    },
    "output": {"type": "object"},
}
"""What BentoML's own client has to find in `/schema.json` to be able to call `/caption`."""


def picture(text: str) -> bytes:
    """Return a picture for the stand-in; every text another one."""
    return b"\xff\xd8\xff" + text.encode()


def caption_of(content: bytes) -> str:
    """Return the caption of a picture."""
    return f"A picture called {hashlib.sha256(content).hexdigest()[:12]}."


def answer_to(content: bytes, options: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the answer for a picture, as the server's CaptionResponse."""
    options = options or {}
    texts = [caption_of(content)]
    texts += [f"Another, number {n}." for n in range(2, int(options.get("num_captions", 1)) + 1)]
    return {
        "captions": [
            {"text": text, "confidence": 0.5 / (n + 1), "log_prob": -2.0 - n}
            for n, text in enumerate(texts)
        ],
        "model": {
            "name": options.get("model", "compact"),
            "version": "1.0.0",
            "method": "compact",
        },
        "image": {"width": SIZE[0], "height": SIZE[1], "format": "JPEG"},
        "id": options.get("id", "request-1"),
        "timing_ms": {"decode": 1.0, "queue": 2.0, "inference": 3.0},
    }


def problem(status: int, kind: str, title: str, detail: str, **more: object) -> dict[str, Any]:
    """Return problem details."""
    return {
        "type": f"/problems/{kind}",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": "/caption",
        "request_id": "request-1",
        **more,
    }


@dataclass
class StandIn:
    """The server's state.

    Attributes:
        url: where it is.
        delay: seconds that a caption takes.
        routes: paths that it has.
        script: answers to give first, `(status, headers, body)`, whatever is asked.
        asked: names of the pictures asked for.
        answered: names of the pictures whose answer went out completely.
        bodies: bodies of the requests.
        key: API key that it wants.
    fetches: whether it fetches pictures from addresses.
        most: most requests at once that it saw.
        version: tells this with every answer.
    """

    url: str = ""
    delay: float = 0.0
    routes: set[str] = field(
        default_factory=lambda: {"/caption", "/caption_url", "/caption_batch", "/match"}
    )
    script: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)
    paths: list[str] = field(default_factory=list)
    forms: list[dict[str, Any]] = field(default_factory=list)
    key: str | None = None
    fetches: bool = True
    most: int = 0
    version: str | None = VERSION
    lock: threading.Lock = field(default_factory=threading.Lock)
    _now: int = 0

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Count a request in progress."""
        with self.lock:
            self._now += 1
            self.most = max(self.most, self._now)
        try:
            yield
        finally:
            with self.lock:
                self._now -= 1

    def settle(self) -> None:
        """Wait until nothing has been at work for a moment."""
        quiet = 0
        while quiet < 20:
            time.sleep(0.02)
            with self.lock:
                quiet = 0 if self._now else quiet + 1


def _caption(content: bytes, options: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    if not content.startswith(_PICTURES):
        return 415, problem(415, "unsupported-image", "Unsupported image", "No picture.")
    if BROKEN in content:
        return 422, problem(422, "broken-image", "Broken image", "The picture is truncated.")
    if int(options.get("num_beams", 1)) > 8:
        fault = {"field": "num_beams", "detail": "should be less than or equal to 8"}
        return 422, problem(
            422, "invalid-request", "Invalid request", "num_beams: too many", errors=[fault]
        )
    if options.get("model", "compact") != "compact":
        return 404, problem(404, "unknown-model", "Unknown model", "No such model is served.")
    return 200, answer_to(content, options)


def _multipart(body: bytes, content_type: str) -> Iterator[tuple[str, str | None, bytes]]:
    boundary = b"--" + content_type.partition("boundary=")[2].encode()
    for part in body.split(boundary)[1:-1]:
        head, _, content = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        match = _NAME.search(head)
        assert match, head
        name, filename = match[1].decode(), match[2]
        yield name, None if filename is None else filename.decode(), content[:-2]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: StandIn

    def do_GET(self) -> None:
        with self.state.at_work():
            self._count([])
            if not self._scripted():
                self._get()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with self.state.at_work():
            files, form = self._read(body)
            names = [name for name, _ in files]
            self._count(names, form)
            if not self._scripted():
                time.sleep(self.state.delay)
                self._post(files, form)
                with self.state.lock:
                    self.state.answered.update(names)

    def _get(self) -> None:
        if self.path == "/v1/models":
            model = {"id": "compact", "object": "model", "created": 1, "owned_by": "captionbox"}
            more = {"version": "1.0.0", "method": "compact", "default": True, "parameters": 9000000}
            more["kind"] = "captioner"
            self._json(200, {"object": "list", "data": [model | more]})
        elif self.path == "/readyz":
            self._json(200, {})
        elif self.path == "/schema.json":
            self._json(200, {"name": "captionbox", "type": "service", "routes": [SCHEMA]})
        elif self.path == "/docs.json":
            self._json(200, {"openapi": "3.1.0", "info": {"version": VERSION}})
        else:
            self._missing()

    def _post(self, files: list[tuple[str, bytes]], form: dict[str, Any]) -> None:
        path = self.path
        if path not in self.state.routes:
            self._missing()
        elif path == "/caption":
            self._json(*_caption(files[0][1], form))
        elif path == "/caption_url" and not self.state.fetches:
            self._json(403, problem(403, "urls-not-allowed", "URLs not allowed", "Send it."))
        elif path == "/caption_url":
            self._json(*_caption(b"picture at " + form.pop("url").encode(), form))
        elif path == "/caption_batch":
            results = []
            for _, content in files:
                status, answer = _caption(content, form)
                results.append(answer if status == 200 else {"error": answer})
            self._json(200, {"results": results})
        else:
            ranked = sorted(form["texts"], key=len, reverse=True)
            matches = [{"text": t, "score": 1 / (n + 1)} for n, t in enumerate(ranked)]
            self._json(200, {"matches": matches, "model": answer_to(b"")["model"]})

    def _read(self, body: bytes) -> tuple[list[tuple[str, bytes]], dict[str, Any]]:
        content_type = self.headers.get("Content-Type", "")
        if content_type.startswith("application/json"):
            form = json.loads(body)
            return [(form["url"], b"")], form
        files, form = [], {}
        for name, filename, content in _multipart(body, content_type):
            if filename is not None:
                files.append((unquote(filename), content))
            elif name == "texts":
                form.setdefault(name, []).append(content.decode())
            else:
                form[name] = content.decode()
        return files, form

    def _count(self, names: list[str], form: dict[str, Any] | None = None) -> None:
        with self.state.lock:
            self.state.asked.update(names)
            self.state.paths.append(self.path)
            self.state.forms.append(dict(form or {}))

    def _scripted(self) -> bool:
        key = self.state.key
        if key is not None and self.headers.get("Authorization") != f"Bearer {key}":
            self._json(401, problem(401, "unauthorized", "Not authorised", "Needs an API key."))
            return True
        with self.state.lock:
            if not self.state.script:
                return False
            status, headers, body = self.state.script.pop(0)
        self._send(status, headers, body)
        return True

    def _missing(self) -> None:
        self._json(404, problem(404, "not-found", "Not found", "There is nothing here."))

    def _json(self, status: int, content: object) -> None:
        kind = "application/json" if status < 400 else "application/problem+json"
        self._send(status, {"Content-Type": kind}, json.dumps(content).encode())

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if self.state.version is not None:
            self.send_header("X-Captionbox-Version", self.state.version)
        self.send_header("X-Request-ID", "request-1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        """A client that was killed is nothing to speak of."""


@contextmanager
def serve(port: int = 0) -> Iterator[StandIn]:
    """Run the server in a thread."""
    state = StandIn()
    handler = type("Handler", (_Handler,), {"state": state})
    server = _Server(("127.0.0.1", port), handler)
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    with serving(server):
        yield state
