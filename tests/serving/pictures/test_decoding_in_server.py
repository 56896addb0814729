"""Decoding workers of a real server: they are its own, they may be killed, they end with it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import pytest

from tests.asking import caption, check
from tests.drawings import NAMES, caption_of, draw, encode
from tests.server import Server

END_SECONDS = 60.0
"""Far more than it takes: tests run on busy machines."""


def decoding_workers(server: Server) -> list[psutil.Process]:
    (gateway,) = server.workers("captionbox")
    return [child for child in gateway.children() if "serving.pictures.worker" in child.cmdline()]


def wait_until_ended(workers: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(workers, END_SECONDS)
    assert not alive


@pytest.fixture
def server(bentoml_home: Path, start_server: Callable[..., Server]) -> Server:
    return start_server(bentoml_home)


def test_workers_live_and_end_with_the_server(server: Server) -> None:
    with httpx.Client(base_url=server.url, timeout=60) as client:
        for name in NAMES[:4]:
            answer = caption(client, encode(draw(name)))
            assert answer.json()["captions"][0]["text"] == caption_of(name)
        first = decoding_workers(server)
        assert first, "nothing decodes"
        for worker in first:
            worker.kill()
        time.sleep(0.5)
        answer = caption(client, encode(draw(NAMES[0])))
        assert answer.json()["captions"][0]["text"] == caption_of(NAMES[0])
        check(caption(client, b"\xff\xd8\xff" + bytes(1_000_000)), 422, "broken-image")
        counted = client.get("/metrics").text
        assert 'captionbox_decode_workers_replaced_total{reason="killed"}' in counted
        second = decoding_workers(server)
        assert second and not {one.pid for one in first} & {one.pid for one in second}
        # A gateway that is killed takes them along, and the next one has its own.
        (gateway,) = server.workers("captionbox")
        gateway.kill()
        wait_until_ended(second)
        server.wait_ready(END_SECONDS)
        assert caption(client, encode(draw(NAMES[0]))).status_code == 200
        third = decoding_workers(server)
    assert third
    server.terminate()
    assert server.wait(END_SECONDS) == 0
    wait_until_ended(third)
    assert "Traceback" not in server.log.read_text()
