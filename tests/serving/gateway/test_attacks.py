"""One client's small attacks on a default server of 2 GB: nobody else notices, nothing swells.

The captions are those of `compact` itself: against a tiny model's time, nothing would be small.

    .venv/bin/python -m pytest -m load --log-cli-level=INFO tests/serving/gateway/test_attacks.py

tells the times and the gateway's memory.
"""

from __future__ import annotations

import json
import logging
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from PIL import Image

from tests.attacks import ATTACKS
from tests.drawings import encode
from tests.memory_limit import limited_to
from tests.server import ROOT, Server, install

logger = logging.getLogger(__name__)

pytestmark = [pytest.mark.load, pytest.mark.timeout(900)]

MEMORY = 2 * 1024**3
GATEWAY_MB = 700
SLOWER = 2.0
NOISE_S = 0.02
"""What a caption may take longer for no reason at all."""

REFUSALS = {400, 408, 413, 415, 422, 429}
MOST_BYTES = 16 * 1024
PICTURE = encode(Image.effect_noise((640, 480), 60).convert("RGB"), "JPEG")


@pytest.fixture(scope="module")
def small(
    tmp_path_factory: pytest.TempPathFactory, start_server: Callable[..., Server]
) -> Iterator[Server]:
    """Return a server as `make serve` starts it, with the memory that the README asks for."""
    home = tmp_path_factory.mktemp("bentoml")
    install(home, ROOT / "models/weights/compact")
    with limited_to(MEMORY) as prefix:
        server = start_server(
            home, prefix=prefix, threads="", engine_workers="", upload_patience_s="5"
        )
        yield server
        server.stop()


def caption(server: Server) -> float:
    """Caption a picture as an innocent client would; return the seconds."""
    began = time.monotonic()
    answer = httpx.post(f"{server.url}/caption", files={"image": PICTURE}, timeout=120)
    seconds = time.monotonic() - began
    assert answer.status_code == 200, answer.text
    return seconds


def gateway(server: Server) -> psutil.Process:
    (process,) = server.workers("captionbox")
    return process


def peak_mb(process: psutil.Process) -> float:
    """Return the most memory that a process has ever had."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    peak = next(line for line in lines if line.startswith("VmHWM:"))
    return int(peak.split()[1]) / 1024


@pytest.mark.parametrize("name", ATTACKS)
def test_nobody_else_notices(small: Server, name: str) -> None:
    process = gateway(small)
    alone = statistics.median(caption(small) for _ in range(11))
    # The attacker is elsewhere: what sending costs is not to be taken from the server.
    command = ["nice", "-n", "19", sys.executable, "-m", "tests.attacks", name, small.url]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as attack:
        time.sleep(1)  # it imports, and makes up what it sends
        meanwhile = []
        while attack.poll() is None or len(meanwhile) < 5:
            meanwhile.append(caption(small))
        answers = json.loads(attack.communicate()[0])
    assert len(answers) == ATTACKS[name][0]
    statuses = {status for status, _, _ in answers}
    assert statuses <= REFUSALS, answers
    assert max(size for _, size, _ in answers) <= MOST_BYTES
    slow, most = statistics.median(meanwhile), peak_mb(process)
    logger.info(
        "%s: %.3f s alone; meanwhile %.3f s, at most %.3f s; %s; gateway at most %.0f MB",
        *(name, alone, slow, max(meanwhile), sorted(statuses), most),
    )
    assert slow <= SLOWER * alone + NOISE_S, f"{alone:.3f} s alone, {slow:.3f} s meanwhile"
    assert gateway(small).pid == process.pid, "the gateway has died"
    assert most < GATEWAY_MB
