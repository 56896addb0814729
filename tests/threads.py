"""Servers of the tests' own, each in a thread for a while."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from socketserver import BaseServer

_POLL_SECONDS = 0.02
"""How soon it is noticed that a server is to end."""


@contextmanager
def serving(server: BaseServer) -> Iterator[None]:
    """Run a server in a thread, and close it in the end."""
    thread = threading.Thread(target=server.serve_forever, args=(_POLL_SECONDS,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
