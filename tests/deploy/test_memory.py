"""How much memory the default model needs on two cores, and what happens with less."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from tests.deploy.engine import Engine
from tests.drawings import draw, encode

pytestmark = [pytest.mark.deploy, pytest.mark.timeout(900)]

REQUESTS = 40
READY_SECONDS = 150
NAME = "captionbox-memory"
RUN = (
    *("--cpus=2", "--init", "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL"),
    *("--network=none", "--restart=unless-stopped"),
)

# Runs in the container: no port of it is published.
ASK = """
import sys, urllib.request
body = sys.stdin.buffer.read()
headers = {"Content-Type": "multipart/form-data; boundary=x"}
good = 0
for _ in range(int(sys.argv[1])):
    request = urllib.request.Request("http://127.0.0.1:3000/caption", body, headers)
    try:
        good += urllib.request.urlopen(request, timeout=60).status == 200
    except OSError:
        pass
print(good)
"""


@pytest.fixture
def start(laptop: Engine, image: str) -> Iterator[Callable[[int], None]]:
    """Return a function that starts a container with so many MB of memory."""

    def run(megabytes: int) -> None:
        memory = (f"--memory={megabytes}m", f"--memory-swap={megabytes}m")
        laptop.docker("run", "-d", "--name", NAME, *memory, *RUN, image)

    yield run
    laptop.docker("rm", "-f", NAME)


def ready(laptop: Engine) -> bool:
    """Whether the container's server can caption."""
    command = ["docker", "exec", NAME, "python3", "-I", "-S", "/app/healthcheck.py", "--ask"]
    done = subprocess.run(command, capture_output=True, env=laptop.environment, check=False)
    return done.returncode == 0


def caption(laptop: Engine) -> int:
    """Have large pictures captioned, one after the other; return how many were."""
    head = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
    body = head + encode(draw("red ring", 4000), "JPEG") + b"\r\n--x--\r\n"
    done = subprocess.run(
        ["docker", "exec", "-i", NAME, "python3", "-c", ASK, str(REQUESTS)],
        input=body,
        capture_output=True,
        env=laptop.environment,
        timeout=400,
        check=False,
    )
    return int(done.stdout or 0)


@pytest.mark.parametrize("megabytes", [2048, 512, 384, 320])
def test_two_gigabytes_are_enough(
    laptop: Engine,
    start: Callable[[int], None],
    tell: Callable[[str], None],
    megabytes: int,
) -> None:
    start(megabytes)
    began = time.monotonic()
    while not (up := ready(laptop)) and time.monotonic() - began < READY_SECONDS:
        time.sleep(1)
    seconds = time.monotonic() - began
    good = caption(laptop) if up else 0
    usage = laptop.docker("stats", "--no-stream", "--format", "{{.MemUsage}}", NAME)
    loaded = laptop.docker("logs", NAME).count("loaded and warmed up")
    restarts, killed = laptop.docker(
        "inspect", "-f", "{{.RestartCount}} {{.State.OOMKilled}}", NAME
    ).split()
    outcome = f"ready in {seconds:.0f} s" if up else f"not ready within {READY_SECONDS} s"
    tell(
        f"2 cores, {megabytes} MB: {outcome}; {good} of {REQUESTS} large pictures captioned, "
        f"{usage.split(' / ')[0]} in use, engine loaded {loaded} times, "
        f"{restarts} restarts, out of memory: {killed}"
    )
    if megabytes == 2048:
        assert up and good == REQUESTS and loaded == 1 and killed == "false"
