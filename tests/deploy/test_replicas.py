"""Three real servers behind a real nginx, with the configuration of deploy/replicas."""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from benchmarks.tools.load import Load, Picture
from serving.base.settings import Settings
from tests.drawings import NAMES, caption_of, draw, encode
from tests.server import ROOT, Server, free_port

FOLDER = ROOT / "deploy" / "replicas"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")

pytestmark = pytest.mark.skipif(NGINX is None, reason="no nginx: Debian's package `nginx-light`")

PICTURES = [Picture(encode(draw(name, 256)), caption_of(name)) for name in NAMES]


@dataclass
class Balancer:
    """A running nginx.

    Attributes:
        url: where it listens.
        log: its access log.
    """

    url: str
    log: Path

    def asked(self) -> Counter[str]:
        """Return how many tries each replica has had."""
        text = self.log.read_text()
        return Counter(re.findall(r"127\.0\.0\.1:\d+(?= ?[,(:])", text.replace('"', "")))

    def retried(self) -> int:
        """Return how many requests were asked of more than one replica."""
        return len(re.findall(r" by [\d.:]+, ", self.log.read_text()))


def write_configuration(folder: Path, ports: list[int], port: int) -> Path:
    """Write deploy/replicas for these ports and a folder of its own."""
    shutil.copytree(FOLDER.parent / "nginx", folder / "nginx")
    own_folder = folder / "replicas"
    own_folder.mkdir()
    text = (FOLDER / "nginx.conf").read_text(encoding="utf-8")
    text = text.replace("/tmp/captionbox-", f"{folder}/")
    text = text.replace("/dev/stdout", f"{folder}/access.log")
    text = text.replace("listen 8080;", f"listen 127.0.0.1:{port};")
    lines = (FOLDER / "replicas.conf").read_text(encoding="utf-8")
    for number, own in enumerate(ports, start=3001):
        lines = lines.replace(f"127.0.0.1:{number} ", f"127.0.0.1:{own} ")
    (own_folder / "replicas.conf").write_text(lines, encoding="utf-8")
    path = own_folder / "nginx.conf"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_configuration_is_sound_and_has_the_servers_limits(tmp_path: Path) -> None:
    path = write_configuration(tmp_path, [3001, 3002, 3003], 8080)
    command = [str(NGINX), "-t", "-c", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "[warn]" not in done.stderr
    text, settings = path.read_text(), Settings()
    assert f"client_max_body_size {settings.max_upload_mb:g}m;" in text
    assert f"proxy_read_timeout {settings.timeout_s + 5:g}s;" in text


@pytest.fixture
def replicas(bentoml_home: Path, start_server: Callable[..., Server]) -> list[Server]:
    return [start_server(bentoml_home) for _ in range(3)]


@pytest.fixture
def balancer(replicas: list[Server], tmp_path: Path) -> Iterator[Balancer]:
    with balance([server.port for server in replicas], tmp_path) as found:
        yield found


@contextmanager
def balance(ports: list[int], folder: Path) -> Iterator[Balancer]:
    """Run nginx over the replicas on these ports."""
    port = free_port()
    path = write_configuration(folder, ports, port)
    path.write_text(path.read_text().replace("worker_processes auto;", "worker_processes 1;"))
    command = [str(NGINX), "-c", str(path), "-g", "daemon off;"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    found = Balancer(f"http://127.0.0.1:{port}", folder / "access.log")
    try:
        for _ in range(100):
            try:
                httpx.get(f"{found.url}/livez")
                break
            except httpx.TransportError:
                assert process.poll() is None
                time.sleep(0.1)
        yield found
    finally:
        process.send_signal(signal.SIGQUIT)
        process.wait(30)


def test_without_any_replica_there_is_a_clear_refusal(tmp_path: Path) -> None:
    with balance([free_port() for _ in range(3)], tmp_path) as balancer:
        files = {"image": PICTURES[0].image}
        for _ in range(30):  # until all are at rest, and after that
            answer = httpx.post(f"{balancer.url}/caption", files=files)
            assert answer.status_code == 503
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["type"] == "/problems/not-ready"
            assert int(answer.headers["retry-after"]) > 0


def kill(server: Server) -> None:
    """End a server and all its processes at once, as a lost machine would."""
    parent = psutil.Process(server.pid)
    for process in [*parent.children(recursive=True), parent]:
        process.kill()
    server.wait(30)


@pytest.mark.load
@pytest.mark.timeout(900)
def test_a_replica_killed_under_load_is_not_felt(
    replicas: list[Server], balancer: Balancer
) -> None:
    with httpx.Client(base_url=balancer.url, timeout=60) as client:
        assert client.get("/metrics").status_code == 404
        for picture in PICTURES:
            answer = client.post("/caption", files={"image": picture.image})
            assert answer.json()["captions"][0]["text"] == picture.caption
    killed, kept = replicas[0], replicas[1:]
    killer = threading.Timer(8.0, kill, [killed])
    killer.start()
    load = Load(f"{balancer.url}/caption", PICTURES)
    asyncio.run(load.closed(24, 16.0))
    killer.join()
    kinds = Counter(answer.kind for answer in load.answers)
    # What was in flight on it has been asked of another; nothing is lost.
    assert kinds == {"right": len(load.answers)}, [
        answer for answer in load.answers if answer.kind != "right"
    ][:3]
    assert balancer.retried() >= 1
    asked = balancer.asked()
    assert all(asked[f"127.0.0.1:{server.port}"] > 0 for server in replicas)
    # All three took their share until then.
    shares = [asked[f"127.0.0.1:{server.port}"] for server in kept]
    assert max(shares) < 2 * min(shares)

    # Back on its address it is asked again, and while it starts nobody is refused for it.
    before = balancer.asked()[f"127.0.0.1:{killed.port}"]
    starter = threading.Thread(target=killed.start)
    starter.start()
    load = Load(f"{balancer.url}/caption", PICTURES)
    asyncio.run(load.closed(8, 5.0))
    starter.join()
    assert {answer.kind for answer in load.answers} == {"right"}
    load = Load(f"{balancer.url}/caption", PICTURES)
    asyncio.run(load.closed(8, 5.0))
    assert {answer.kind for answer in load.answers} == {"right"}
    assert balancer.asked()[f"127.0.0.1:{killed.port}"] > before
