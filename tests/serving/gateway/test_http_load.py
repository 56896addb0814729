"""A real server with many clients at once, its metrics, and its limits."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.asking import caption, check
from tests.drawings import NAMES, caption_of, draw, encode
from tests.server import Server

# --- many at once --------------------------------------------------------------------------------


def histogram(client: httpx.Client, name: str) -> dict[str, float]:
    """Return the cumulative counts of a histogram by upper bound."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {
        sample.labels["le"]: sample.value
        for family in families
        if family.name == name
        for sample in family.samples
        if sample.name == f"{name}_bucket" and sample.labels["model"] == "compact"
    }


def test_sixteen_clients_each_get_their_own_pictures_caption(server: Server) -> None:
    """Every client has its own picture, options change from one to the next, batches form."""

    async def one(number: int) -> list[tuple[str, str]]:
        name = NAMES[number]
        image = encode(draw(name, 120 + number))
        options = {"num_beams": "1"} if number % 4 == 3 else {}
        pairs = []
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
            for turn in range(12):
                tag = f"{name}/{turn}"
                response = await client.post(
                    "/caption", files={"image": image}, data={"id": tag, **options}
                )
                assert response.status_code == 200, response.text
                assert response.json()["id"] == tag
                assert response.json()["image"]["width"] == 120 + number
                pairs.append((response.json()["captions"][0]["text"], caption_of(name)))
        return pairs

    async def everyone() -> list[list[tuple[str, str]]]:
        return await asyncio.gather(*(one(number) for number in range(16)))

    with httpx.Client(base_url=server.url, timeout=30) as client:
        before = histogram(client, "captionbox_images_per_batch")
        answers = asyncio.run(everyone())
        after = histogram(client, "captionbox_images_per_batch")
    assert all(got == wanted for pairs in answers for got, wanted in pairs)
    assert sum(len(pairs) for pairs in answers) == 192
    batches = after["+Inf"] - before.get("+Inf", 0)
    singles = after["1.0"] - before.get("1.0", 0)
    assert batches < 150, f"{batches} batches for 192 pictures"
    assert singles < batches, "no batch had more than one picture"


def test_metrics_of_both_processes_are_exported(client: httpx.Client) -> None:
    caption(client)
    check(caption(client, b"no picture"), 415, "unsupported-image")
    text = client.get("/metrics").text
    for name in (
        'captionbox_images_captioned_total{model="compact"}',
        'captionbox_inference_seconds_bucket{le="+Inf",model="compact"}',
        'captionbox_picture_decode_seconds_bucket{format="PNG",le="+Inf",model="compact"}',
        'captionbox_problems_total{kind="unsupported-image",model="compact"}',
        'endpoint="/caption"',
    ):
        assert name in text, name


def test_random_addresses_do_not_grow_the_metrics(client: httpx.Client) -> None:
    for number in range(5):
        client.get(f"/random-{number}")
    assert "random-" not in client.get("/metrics").text


def test_the_gateway_does_not_load_torch(server: Server) -> None:
    (gateway,) = server.workers("captionbox")
    (engine,) = server.workers("captionbox-engine")
    assert not [region.path for region in gateway.memory_maps() if "torch" in region.path]
    assert [region.path for region in engine.memory_maps() if "torch" in region.path]


def test_a_client_that_leaves_in_the_middle_does_no_harm(
    server: Server, client: httpx.Client
) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as rude:
        rude.sendall(
            b"POST /caption HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n"
            b"Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n"
        )
    time.sleep(0.5)
    assert caption(client).status_code == 200
    assert "Traceback" not in server.tail()


# --- limits of a server with narrow settings -----------------------------------------------------


@pytest.fixture(scope="module")
def narrow(bentoml_home: Path, start_server: Callable[..., Server]) -> Server:
    return start_server(
        bentoml_home,
        max_concurrency="1",
        timeout_s="2",
        upload_patience_s="2",
        upload_kb_s="1",
        max_upload_mb="0.5",
        max_pixels="1e4",
        models="compact:test",
    )


def slow_upload(server: Server, seconds: float) -> bytes:
    """Send half of a request, wait, and return what the server says meanwhile."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=seconds + 10) as slow:
        slow.sendall(
            b"POST /caption HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n"
            b"Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n"
        )
        answer = b""
        while not answer.endswith(b"}") and (part := slow.recv(65536)):
            answer += part
        return answer


def test_who_stands_still_takes_no_place(narrow: Server) -> None:
    with (
        ThreadPoolExecutor(3) as pool,
        httpx.Client(base_url=narrow.url, timeout=30) as client,
    ):
        slow = [pool.submit(slow_upload, narrow, 2.0) for _ in range(3)]
        time.sleep(0.5)
        assert caption(client).status_code == 200
        assert client.get("/livez").status_code == 200
        for answer in (one.result(timeout=20) for one in slow):
            assert b" 408 " in answer.split(b"\r\n")[0]
            assert b"application/problem+json" in answer and b"/problems/upload-too-slow" in answer
        assert caption(client).status_code == 200


def test_an_honest_slow_upload_outlasts_the_time_limit(narrow: Server) -> None:
    """It takes twice as long as captioning may."""
    body = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
    body += encode(draw("red ring"), "BMP") + b"\r\n--b--\r\n"
    step = len(body) // 16 + 1
    head = f"POST /caption HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
    kind = "Content-Type: multipart/form-data; boundary=b\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", narrow.port), timeout=20) as link:
        link.sendall((head + kind).encode())
        for start in range(0, len(body), step):
            link.sendall(body[start : start + step])
            time.sleep(0.25)
        answer = b"".join(iter(lambda: link.recv(65536), b""))
    assert b" 200 " in answer.split(b"\r\n")[0], answer
    assert caption_of("red ring").encode() in answer


def test_narrow_limits_are_honoured(narrow: Server) -> None:
    with httpx.Client(base_url=narrow.url, timeout=30) as client:
        details = check(caption(client, b"x" * 600_000), 413, "too-large")
        assert "0.5 MiB" in details.detail
        details = check(caption(client, encode(draw("red ring", 101))), 422, "too-many-pixels")
        assert "10,000" in details.detail and "101 x 101" in details.detail
        assert client.get("/v1/models").json()["data"][0]["version"] == "test"
