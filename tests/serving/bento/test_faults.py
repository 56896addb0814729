"""What goes wrong around a real server, and what it does then. docs/operations.md says the same."""

from __future__ import annotations

import asyncio
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from PIL import Image

from models.runtimes.formats import formats
from tests.asking import caption, check
from tests.drawings import draw, encode
from tests.faults import DEADLY, HANGING, SLOW
from tests.server import ROOT, Server, environment, free_port, install

pytestmark = [pytest.mark.load, pytest.mark.timeout(900)]

TIMEOUT_S = 3
RECOVERY_SECONDS = 90.0
"""Far more than it takes: tests run on busy machines."""


def plain(colour: tuple[int, int, int], size: int = 48, fmt: str = "PNG") -> bytes:
    return encode(Image.new("RGB", (size, size), colour), fmt)


@pytest.fixture(scope="module")
def faulty(bentoml_home: Path, start_server: Callable[..., Server]) -> Server:
    """Return a server whose model can be made to hang or die."""
    return start_server(
        bentoml_home, what="tests.faults:Captioner", timeout_s=str(TIMEOUT_S), max_batch_size="2"
    )


@pytest.fixture
def asking(faulty: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=faulty.url, timeout=60) as client:
        yield client


# --- the engine -----------------------------------------------------------------------------------


def test_a_stopped_engine(faulty: Server, asking: httpx.Client) -> None:
    """Requests are refused in bounded time, readiness goes down, SIGCONT brings it all back."""
    assert caption(asking).status_code == 200
    (engine,) = faulty.workers("captionbox-engine")
    engine.send_signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        check(caption(asking), 504, "timeout")
        assert time.monotonic() - began < TIMEOUT_S + 20
        check(asking.get("/readyz"), 503, "not-ready")
        assert asking.get("/livez").status_code == 200
        seen = set()
        while "engine-unavailable" not in seen:
            assert time.monotonic() - began < RECOVERY_SECONDS, f"only {seen}"
            response = caption(asking)
            assert response.status_code in (503, 504)
            seen.add(response.json()["type"].removeprefix("/problems/"))
        began = time.monotonic()
        check(caption(asking), 503, "engine-unavailable")
        assert time.monotonic() - began < TIMEOUT_S, "a lost engine is waited for no more"
    finally:
        engine.send_signal(signal.SIGCONT)
    faulty.wait_ready(RECOVERY_SECONDS)
    assert caption(asking).status_code == 200


def test_a_picture_that_hangs_the_model(faulty: Server, asking: httpx.Client) -> None:
    """The engine ends itself when a batch takes for ever, and is replaced."""
    (engine,) = faulty.workers("captionbox-engine")
    assert caption(asking, plain(HANGING)).status_code in (503, 504)
    engine.wait(RECOVERY_SECONDS)
    faulty.wait_ready(RECOVERY_SECONDS)
    assert caption(asking).status_code == 200
    assert "Timeout" in faulty.log.read_text(), "the stacks of the hung process are not in the log"


def test_a_picture_that_kills_the_engine(faulty: Server, asking: httpx.Client) -> None:
    """It is refused, not sent to one engine after another."""
    (engine,) = faulty.workers("captionbox-engine")
    check(caption(asking, plain(DEADLY)), 503, "engine-unavailable")
    faulty.wait_ready(RECOVERY_SECONDS)
    assert caption(asking).status_code == 200
    (fresh,) = faulty.workers("captionbox-engine")
    assert fresh.pid != engine.pid
    time.sleep(2)
    assert fresh.is_running()


# --- the disk -------------------------------------------------------------------------------------


def test_no_upload_needs_the_disk(bentoml_home: Path, start_server: Callable[..., Server]) -> None:
    """No file of the server's may grow over a size far below that of an upload."""
    limit = 2 * 1024 * 1024
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        server = start_server(bentoml_home)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    large = encode(draw("red ring", 2000), "BMP")
    assert len(large) > 4 * limit
    with httpx.Client(base_url=server.url, timeout=60) as client:
        assert caption(client, large).status_code == 200
    server.stop()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a disk of a few megabytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)],
        capture_output=True,
        check=False,
    )
    if mount.returncode != 0:
        pytest.skip("mounting a file system is not allowed here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.fixture
def on_small_disk(
    small_disk: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Server]:
    """Return a server with its store, its temporary files and its metrics on the small disk."""
    monkeypatch.setenv("TMPDIR", str(small_disk))
    install(small_disk / "home", tiny_model)
    server = Server(small_disk / "home", tmp_path / "server.log")
    (small_disk / "own").mkdir()
    server.log.with_suffix(".home").symlink_to(small_disk / "own")
    server.start()
    yield server
    server.stop()


def test_a_full_disk(small_disk: Path, on_small_disk: Server) -> None:
    """It serves on."""
    server = on_small_disk
    with (small_disk / "filler").open("wb", buffering=0) as filler, pytest.raises(OSError):
        while filler.write(b"x" * 4096):
            pass
    assert shutil.disk_usage(small_disk).free == 0
    large = encode(draw("red ring", 1500), "BMP")
    with httpx.Client(base_url=server.url, timeout=60) as client:
        for path in ("/", "/docs", "/docs.json", "/v1/models", "/nowhere", "/readyz", "/metrics"):
            assert client.get(path).status_code in (200, 404)
        for fmt in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"):
            assert caption(client, encode(draw("red ring"), fmt)).status_code == 200
        check(caption(client, b"nothing"), 415, "unsupported-image")
        assert caption(client, large).status_code == 200
    # A worker that has to start without space says so, and comes when there is some.
    (engine,) = server.workers("captionbox-engine")
    engine.kill()
    began = time.monotonic()
    while "no disk space for metrics" not in server.log.read_text():
        assert time.monotonic() - began < RECOVERY_SECONDS, server.tail()
        time.sleep(0.2)
    check(httpx.get(f"{server.url}/readyz", timeout=10), 503, "not-ready")
    (small_disk / "filler").unlink()
    server.wait_ready(RECOVERY_SECONDS)
    with httpx.Client(base_url=server.url, timeout=60) as client:
        assert caption(client).status_code == 200


# --- the end --------------------------------------------------------------------------------------


def test_sigterm_under_load(bentoml_home: Path, start_server: Callable[..., Server]) -> None:
    """Requests in progress, waiting ones too, are answered; new ones are refused; exit code 0."""
    server = start_server(bentoml_home, what="tests.faults:Captioner", max_batch_size="2")

    async def load() -> tuple[list[httpx.Response], bool]:
        limits = httpx.Limits(max_connections=20)
        async with httpx.AsyncClient(base_url=server.url, timeout=60, limits=limits) as client:
            tasks = [
                asyncio.create_task(client.post("/caption", files={"image": plain(SLOW)}))
                for _ in range(8)
            ]
            await asyncio.sleep(0.7)
            server.terminate()
            await asyncio.sleep(1.0)
            refused = not accepts(server)
            return await asyncio.gather(*tasks), refused

    answers, refused = asyncio.run(load())
    assert [answer.status_code for answer in answers] == [200] * 8
    assert refused, "connections are taken although nobody will serve them"
    assert server.wait(20) == 0, server.tail()
    assert "Traceback" not in server.log.read_text()


def test_sigterm_with_an_engine_that_hangs(
    bentoml_home: Path, start_server: Callable[..., Server]
) -> None:
    """Exits within the stated time: `STOP_S`, and five seconds for the engine."""
    server = start_server(bentoml_home, stop_s="2")
    (engine,) = server.workers("captionbox-engine")
    engine.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    server.terminate()
    assert server.wait(60) == 0
    assert time.monotonic() - began < 2 + 5 + 20
    assert not engine.is_running()


def accepts(server: Server) -> bool:
    try:
        socket.create_connection(("127.0.0.1", server.port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


# --- the start ------------------------------------------------------------------------------------


def failed_start(home: Path, port: int, **settings: str) -> str:
    """Start a server that cannot start; return the one line that says why, its last."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "bentoml", "serve", "service:Captioner"),
            *("--host", "127.0.0.1", "--port", str(port)),
        ],
        cwd=ROOT,
        env=environment(home, **settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 1, done.stdout
    assert "Traceback" not in done.stdout
    lines = done.stdout.splitlines()
    assert [line for line in lines if "captionbox: " in line] == lines[-1:], done.stdout
    return lines[-1]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_truncated_model(workers: str, bentoml_home: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(bentoml_home, home)
    (weights,) = home.rglob("model.safetensors")
    weights.write_bytes(weights.read_bytes()[:50_000])
    line = failed_start(home, free_port(), engine_workers=workers)
    assert line.startswith("captionbox: the model compact:test: the model's files cannot be read: ")


def test_a_format_that_the_processor_lacks(bentoml_home: Path) -> None:
    if "bf16" in formats("torch"):
        pytest.skip("this processor computes in bf16")
    line = failed_start(bentoml_home, free_port(), precision="bf16", engine_workers="2")
    assert line.startswith("captionbox: CAPTIONBOX_PRECISION=bf16: ")


def test_a_taken_port(bentoml_home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        line = failed_start(bentoml_home, port)
    assert line == f"captionbox: cannot listen on 127.0.0.1:{port}: Address already in use"


def test_a_model_that_is_not_there(bentoml_home: Path) -> None:
    line = failed_start(bentoml_home, free_port(), models="compact,absent")
    assert line.startswith("captionbox: no model 'absent' in the BentoML model store")
