"""What one client alone waits for besides its picture's decoding and the model."""

from __future__ import annotations

import json
import time
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from statistics import median

import httpx

WARM_UP = 10


def overhead(url: str, images: Path, requests: int = 100) -> dict[str, float]:
    """Ask a server of ours, one picture after the other; return medians in milliseconds.

    Args:
        url: the server's.
        images: folder of JPEG files.
        requests: how many count.

    Returns:
        `decode_ms` and `inference_ms` as the server measures them, and `rest_ms`, everything else:
        HTTP on both sides, the form, the way to the engine and back, batching.

    Raises:
        RuntimeError: the server refuses.
    """
    asked = [_request(url, file) for file in sorted(images.glob("*.jpg"))]
    rows: list[dict[str, float]] = []
    connection = HTTPConnection(url.removeprefix("http://"), timeout=60)
    for turn in range(WARM_UP + requests):
        body, headers = asked[turn % len(asked)]
        started = time.perf_counter()
        connection.request("POST", "/caption", body, headers)
        answer = connection.getresponse()
        content = answer.read()
        whole = 1000 * (time.perf_counter() - started)
        if answer.status != HTTPStatus.OK:
            raise RuntimeError(f"{url} answered {answer.status}: {content[:200]!r}")
        timing = json.loads(content)["timing_ms"]
        decode, inference = timing["decode"], timing["inference"]
        rest = whole - decode - inference
        rows.append({"decode_ms": decode, "inference_ms": inference, "rest_ms": rest})
    connection.close()
    counted = rows[WARM_UP:]
    return {name: median(row[name] for row in counted) for name in counted[0]}


def _request(url: str, file: Path) -> tuple[bytes, dict[str, str]]:
    """Return a form with the picture, and its headers; made beforehand: it is the client's work."""
    form = httpx.Request("POST", f"{url}/caption", files={"image": file.read_bytes()})
    return form.read(), dict(form.headers)
