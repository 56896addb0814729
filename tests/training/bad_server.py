"""A server on this machine that behaves as badly as real ones do, and archives to fetch from it."""

import io
import json
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from training.data.fetch import Patience

QUICK = Patience(attempts=3, pause=0.01, timeout=2)


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


CAPTIONS = json.dumps(
    {
        "images": [{"id": 1, "file_name": "1.jpg"}],
        "annotations": [{"id": 1, "image_id": 1, "caption": "A dog."}],
    }
).encode()
ANNOTATIONS = zipped(
    {"annotations/captions_val2017.json": CAPTIONS, "annotations/instances_val2017.json": b"{}"}
)
PICTURES = zipped({f"val2017/{i}.jpg": bytes([i]) * 40_000 for i in range(1, 9)})


class Server(ThreadingHTTPServer):
    """Serves `files`; the other attributes say how badly."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {
            "/annotations/a.zip": ANNOTATIONS,
            "/zips/v.zip": PICTURES,
        }
        self.etag: str | None = '"one"'
        self.date: str | None = None
        self.drop_after: list[int] = []
        """Close the connection after so many bytes, one entry an answer."""
        self.ranges = True
        self.if_range = True
        self.say_length: int | None = None
        self.length = True
        self.failures: list[tuple[int, dict[str, str]]] = []
        self.asked: list[tuple[str, str | None]] = []
        """Path and Range header of every request."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server, wanted = self.server, self.headers.get("Range")
        server.asked.append((self.path, wanted))
        if server.failures:
            code, headers = server.failures.pop(0)
            self.answer(code, headers, b"")
            return
        content = server.files.get(self.path)
        if content is None:
            self.answer(404, {}, b"")
            return
        validators = {"ETag": server.etag, "Last-Modified": server.date}
        headers = {name: value for name, value in validators.items() if value}
        start, code = 0, 200
        fresh = self.headers.get("If-Range") in (server.etag, server.date)
        if wanted and server.ranges and (fresh or not server.if_range):
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                self.answer(416, {"Content-Range": f"bytes */{len(content)}"}, b"")
                return
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            code = 206
        self.answer(code, headers, content[start:])

    def answer(self, code: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        if self.server.length:
            said = self.server.say_length if code == 200 else None
            self.send_header("Content-Length", str(len(body) if said is None else said))
        self.end_headers()
        drop = self.server.drop_after.pop(0) if self.server.drop_after and body else len(body)
        self.wfile.write(body[:drop])
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        pass
