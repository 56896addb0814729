"""A proxy that puts a prefix before every path of a server, and knows nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

from tests.threads import serving

_OF_THE_CONNECTION = {"connection", "content-length", "host", "transfer-encoding"}


class Relay:
    """What runs.

    Attributes:
        url: of the server behind it, prefix included, without a slash at its end.
        strays: paths that were asked for outside of the prefix.
    """

    def __init__(self, url: str) -> None:
        self.url, self.strays = url, list[str]()


@contextmanager
def relay(server: str, prefix: str) -> Iterator[Relay]:
    """Run a proxy of the server at the address `server`."""
    client = httpx.Client(base_url=server, timeout=60)

    class Handler(BaseHTTPRequestHandler):
        def pass_on(self) -> None:
            if not self.path.startswith(f"{prefix}/"):
                running.strays.append(self.path)
                self.send_error(404)
                return
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            with client.stream(
                self.command,
                self.path.removeprefix(prefix),
                headers=_kept(self.headers.items()),
                content=body,
            ) as answer:
                content = b"".join(answer.iter_raw())
            self.send_response(answer.status_code)
            for name, value in _kept(answer.headers.items()).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = pass_on

        def log_message(self, *_: object) -> None:
            pass

    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running = Relay(f"http://127.0.0.1:{proxy.server_address[1]}{prefix}")
    with client, serving(proxy):
        yield running


def _kept(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {name: value for name, value in headers if name.lower() not in _OF_THE_CONNECTION}
