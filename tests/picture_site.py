"""A small web site with pictures, and with everything that a site may do to who fetches them."""

from __future__ import annotations

import gzip
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from tests.drawings import draw, encode
from tests.threads import serving

PICTURE = encode(draw("red ring"))


class Site:
    """What runs, and what it was asked.

    Attributes:
        port: where it listens, on every local address.
        asked: path and headers of each request, names in small letters.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.asked: list[tuple[str, dict[str, str]]] = []

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        """Return the address of a path."""
        return f"http://{host}:{self.port}{path}"

    @property
    def paths(self) -> list[str]:
        """The paths that were asked for, in order."""
        return [path for path, _ in self.asked]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: Site

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.site.asked.append((self.path, headers))
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query, True).items()}
        getattr(self, f"get_{parts.path.strip('/')}", self.get_missing)(query)

    def get_picture(self, _: dict[str, str]) -> None:
        self._send(200, PICTURE, {"Content-Type": "text/plain"})

    def get_page(self, _: dict[str, str]) -> None:
        self._send(200, b"<html>no picture</html>", {"Content-Type": "image/png"})

    def get_status(self, query: dict[str, str]) -> None:
        code = int(query["code"])
        self._send(code, b"" if code in (204, 304) else PICTURE)

    def get_go(self, query: dict[str, str]) -> None:
        headers = {"Location": query["to"], "Set-Cookie": "a=b; Path=/"}
        self._send(int(query.get("code", 302)), b"", headers)

    def get_hops(self, query: dict[str, str]) -> None:
        left = int(query["left"])
        self._send(302, b"", {"Location": f"hops?left={left - 1}" if left else "/picture"})

    def get_announced(self, query: dict[str, str]) -> None:
        self._send(200, b"", {"Content-Length": query["bytes"]})

    def get_endless(self, _: dict[str, str]) -> None:
        self._chunked([b"x" * 65536] * 10_000)

    def get_trickle(self, _: dict[str, str]) -> None:
        def drops() -> Iterator[bytes]:
            for _ in range(300):
                time.sleep(0.05)
                yield b"x"

        self._chunked(drops())

    def get_silent(self, _: dict[str, str]) -> None:
        time.sleep(3)
        self.close_connection = True

    def get_gzip(self, _: dict[str, str]) -> None:
        self._send(200, gzip.compress(PICTURE), {"Content-Encoding": "gzip"})

    def get_cut(self, _: dict[str, str]) -> None:
        self._send(200, PICTURE[:100], {"Content-Length": str(len(PICTURE))})
        self.close_connection = True

    def get_nonsense(self, _: dict[str, str]) -> None:
        self.wfile.write(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")
        self.close_connection = True

    def get_headers(self, _: dict[str, str]) -> None:
        self._send(200, PICTURE, {f"X-{number}": "x" * 8000 for number in range(3000)})

    def get_missing(self, _: dict[str, str]) -> None:
        self._send(404, b"nothing here")

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _chunked(self, chunks: Iterator[bytes] | list[bytes]) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for chunk in chunks:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Who fetches goes away in the middle: that is the point."""


@contextmanager
def serve_site(tls: ssl.SSLContext | None = None) -> Iterator[Site]:
    """Run the site in a thread, with https if there is a `tls` context."""
    handler = type("Handler", (_Handler,), {})
    server = _Server(("0.0.0.0", 0), handler)  # all of 127/8, for DNS rebinding
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    site = Site(server.server_address[1])
    handler.site = site
    with serving(server):
        yield site
