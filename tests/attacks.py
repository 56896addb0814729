"""Small inputs that would freeze or swell a careless server; each is tried in a process of its own.

    python -m tests.attacks NAME http://127.0.0.1:PORT [TIMES]

prints the answers as JSON: `[[status, bytes, seconds], …]`, status 0 where there was none.
"""

from __future__ import annotations

import base64
import http.client
import json
import random
import socket
import struct
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

FORM = "multipart/form-data; boundary=b"
JSON = "application/json"
MANY = 1_000_000
LARGE = 18 * 1024 * 1024
SILENT = 64

Answer = tuple[int, int, float]


def form(data: bytes) -> bytes:
    head = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
    return head + data + b"\r\n--b--\r\n"


def tiff_of_strips(count: int) -> bytes:
    """Return a TIFF one pixel wide with a strip a row: every strip is an object to its reader."""
    values = {256: 1, 257: count, 258: 8, 259: 1, 262: 1, 277: 1, 278: 1}
    tables = (273, 279)  # where the strips are, and how long: all the same
    entries = sorted([*values, *tables])
    start = 8 + 2 + 12 * len(entries) + 4
    head = struct.pack("<2sHIH", b"II", 42, 8, len(entries))
    for tag in entries:
        if tag in tables:
            head += struct.pack("<HHII", tag, 3, count, start)
        else:
            kind = 4 if tag == 257 else 3
            head += struct.pack("<HHII", tag, kind, 1, values[tag])
    return head + bytes(4) + struct.pack("<H", 8) * count


def jpeg_of_padding(size: int) -> bytes:
    """Return what begins like a JPEG, and has no further marker."""
    return b"\xff\xd8\xff" + bytes(size)


def members(count: int) -> bytes:
    return b"".join(b',"a%d":1' % number for number in range(count))


def data_url(size: int) -> bytes:
    noise = random.Random(0).randbytes(size * 3 // 4)
    address = "data:image/jpeg;base64," + base64.b64encode(noise).decode()
    return json.dumps({"url": address}).encode()


def post(base: str, path: str, body: bytes, kind: str) -> Answer:
    """Send a body; return the answer's status and size, and the seconds that it took."""
    began = time.monotonic()
    link = http.client.HTTPConnection(urlsplit(base).netloc, timeout=120)
    try:
        link.request("POST", path, body, {"Content-Type": kind})
        answer = link.getresponse()
        size = len(answer.read())
        return answer.status, size, round(time.monotonic() - began, 3)
    except OSError:
        return 0, 0, round(time.monotonic() - began, 3)
    finally:
        link.close()


def silent(base: str) -> Answer:
    """Announce a body, send its first bytes and nothing more."""
    began, address = time.monotonic(), urlsplit(base)
    with socket.create_connection((address.hostname, address.port), timeout=120) as link:
        head = f"POST /caption HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\n"
        link.sendall(f"{head}Content-Length: 1000000\r\n\r\n--b\r\n".encode())
        answer = link.recv(65536)
    status = int(answer.split()[1]) if answer else 0
    return status, len(answer), round(time.monotonic() - began, 3)


def _posts(path: str, kind: str, make: Callable[[], bytes]) -> Callable[[str], Answer]:
    body: list[bytes] = []

    def attack(base: str) -> Answer:
        if not body:
            body.append(make())
        return post(base, path, body[0], kind)

    return attack


CHAT = "/v1/chat/completions"
_PART = b'{"type":"image_url","image_url":{"url":"x"}},'

ATTACKS: dict[str, tuple[int, Callable[[str], Answer]]] = {
    "tiff": (2, _posts("/caption", FORM, lambda: form(tiff_of_strips(700_000)))),
    "large-tiff": (2, _posts("/caption", FORM, lambda: form(tiff_of_strips(3_800_000)))),
    "jpeg": (6, _posts("/caption", FORM, lambda: form(jpeg_of_padding(19_000_000)))),
    "unknown-fields": (
        2,
        _posts("/caption_url", JSON, lambda: b'{"url":"data:,"' + members(MANY) + b"}"),
    ),
    "unknown-members": (
        2,
        _posts(
            CHAT,
            JSON,
            lambda: b'{"messages":[{"role":"user","content":"x"' + members(MANY) + b"}]}",
        ),
    ),
    "parts": (
        2,
        _posts(
            CHAT,
            JSON,
            lambda: (
                b'{"messages":[{"role":"user","content":['
                + _PART * 420_000
                + b'{"type":"text","text":"a"}]}]}'
            ),
        ),
    ),
    "forms": (60, _posts("/caption", FORM, lambda: form(random.Random(1).randbytes(LARGE)))),
    "data-urls": (60, _posts("/caption_url", JSON, lambda: data_url(LARGE))),
    "silent": (SILENT, silent),
}
"""How many at once, and what each of them does."""


def main(name: str, base: str, times: int | None = None) -> None:
    """Attack, and print the answers."""
    at_once, attack = ATTACKS[name]
    total = times or at_once
    with ThreadPoolExecutor(at_once) as pool:
        answers = list(pool.map(attack, [base] * total))
    sys.stdout.write(json.dumps(answers) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
