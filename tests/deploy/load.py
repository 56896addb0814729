"""Clients that caption pictures one after the other, and forgive nothing. In a process of its own.

    python -m tests.deploy.load URL KEY CLIENTS STOP_FILE

Asks until STOP_FILE is there, then prints how many requests were answered and, of each that was not
answered with a caption, what came instead. A request is sent once: nothing is tried again.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import httpx

from tests.drawings import NAMES, draw, encode

RATE = 9
"""Requests a second of all clients, if they were answered at once: nginx lets 10 through."""


def ask(url: str, key: str, number: int, pause: float, stop: Path, answered: Counter[str]) -> None:
    """Be one client, with a connection that is kept, and `pause` seconds after each answer."""
    picture = encode(draw(NAMES[number % len(NAMES)], 320), "JPEG")
    with httpx.Client(base_url=url, verify=False, timeout=120) as client:
        while not stop.exists():
            try:
                response = client.post(
                    "/caption", files={"image": picture}, headers={"X-API-Key": key}
                )
                good = response.status_code == 200 and response.json()["captions"][0]["text"]
                what = "captioned" if good else f"{response.status_code} {response.text[:300]}"
            except httpx.HTTPError as error:
                what = f"{type(error).__name__}: {error}"
            answered[what] += 1
            time.sleep(pause)


def main() -> None:
    """Run the clients."""
    url, key, clients, stop = sys.argv[1:5]
    answered: Counter[str] = Counter()
    began = time.monotonic()
    pause = int(clients) / RATE
    threads = [
        threading.Thread(target=ask, args=(url, key, number, pause, Path(stop), answered))
        for number in range(int(clients))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    good = answered.pop("captioned", 0)
    print(json.dumps({"captioned": good, "failed": dict(answered), "s": time.monotonic() - began}))


if __name__ == "__main__":
    main()
