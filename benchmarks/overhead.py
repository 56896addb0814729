"""What one client alone waits for besides its picture's decoding and the model."""

from __future__ import annotations

import time
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
        the client, HTTP, the way to the engine and back, batching.
    """
    files = sorted(images.glob("*.jpg"))
    rows: list[dict[str, float]] = []
    with httpx.Client(base_url=url, timeout=60) as client:
        for turn in range(WARM_UP + requests):
            picture = files[turn % len(files)].read_bytes()
            started = time.perf_counter()
            answer = client.post("/caption", files={"image": picture}).raise_for_status()
            whole = 1000 * (time.perf_counter() - started)
            timing = answer.json()["timing_ms"]
            decode, inference = timing["decode"], timing["inference"]
            rest = whole - decode - inference
            rows.append({"decode_ms": decode, "inference_ms": inference, "rest_ms": rest})
    counted = rows[WARM_UP:]
    return {name: median(row[name] for row in counted) for name in counted[0]}
