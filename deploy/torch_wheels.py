"""Where the build of a container gets torch for CPU: PyTorch's index, or a folder of this machine.

Where the index does not answer, pip's `find-links` may name a folder with the wheel. The build in
the container cannot see that folder and does not read pip's configuration, so it is served on
loopback.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import logging
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from deploy.install_torch import cpu_index_answers

PORT = 39117
"""Always the same: the address is part of what Docker's build cache goes by."""

logger = logging.getLogger(__name__)


def local_wheels(version: str) -> Path | None:
    """Return the folder that pip's configuration names, if it has a CPU wheel of torch."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    )
    for line in re.findall(r"find-links='([^']*)'", done.stdout):
        for folder in map(Path, line.removeprefix("file://").split()):
            if next(folder.glob(f"torch-{version}+cpu-*.whl"), None) is not None:
                return folder
    return None


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder on loopback; the value is its URL."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", PORT), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{PORT}/"
        finally:
            server.shutdown()


@contextlib.contextmanager
def uv_environment(version: str) -> Iterator[dict[str, str]]:
    """Provide torch for CPU; the value is the environment that tells uv where it is."""
    folder = None if cpu_index_answers() else local_wheels(version)
    if folder is None:
        yield {"UV_TORCH_BACKEND": "cpu"}
        return
    logger.info("PyTorch's index of CPU builds does not answer, serving the wheel found here")
    with served(folder) as url:
        yield {"UV_FIND_LINKS": url}


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
