"""Start the server once, wait until it has captioned a picture, stop it: while an image is built.

Python compiles what is imported on the way, so that containers, whose files are read-only, start
without compiling, and the image holds no compiled file that nobody imports.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

START_SECONDS = 600
BENTO = Path("/home/bentoml/bento")
PAGES = ("/", "/docs", "/docs.json", "/v1/models", "/metrics")


def free_port() -> int:
    """Return a port that was free a moment ago: the build may share the machine's network."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(url: str) -> bool:
    """Return whether a URL answers with success."""
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def main() -> int:
    """Return 0 if the server started, answered and stopped as it should."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    # One thread: however busy the building machine is, threads do not wait for each other.
    env = {**os.environ, "BENTOML_PORT": str(port), "BENTOML_HOST": "127.0.0.1"}
    env |= {"CAPTIONBOX_THREADS": "1", "OMP_NUM_THREADS": "1"}
    server = subprocess.Popen([BENTO / "env/docker/entrypoint.sh"], env=env)
    end = time.monotonic() + START_SECONDS
    try:
        while not answers(f"{url}/readyz"):
            if server.poll() is not None or time.monotonic() > end:
                return 1
            time.sleep(0.5)
        answered = all(answers(url + page) for page in PAGES)
    finally:
        server.send_signal(signal.SIGTERM)
        code = server.wait(60)
    return 0 if answered and code == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
