"""A file's part is a file by its field, whether or not it has a file's name."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests.asking import PICTURE, check
from tests.drawings import caption_of, draw, encode
from tests.server import Server

LARGE = encode(Image.effect_noise((640, 480), 80).convert("RGB"), "JPEG")
"""Much more than a field may have that is no file."""


def send(
    client: httpx.Client, data: bytes, disposition: str, *headers: str, path: str = "/caption"
) -> httpx.Response:
    """Send a form of one part, written by hand."""
    lines = [f"Content-Disposition: form-data; {disposition}", *headers]
    head = "\r\n".join(["--X", *lines, "", ""]).encode()
    kind = "multipart/form-data; boundary=X"
    body = head + data + b"\r\n--X--\r\n"
    return client.post(path, content=body, headers={"Content-Type": kind})


@pytest.mark.parametrize(
    "disposition",
    [
        'name="image"',
        "name=image",
        'name="image";',
        'name="image"; filename=""',
        'name="image"; filename=',
        "name=\"image\"; filename*=UTF-8''%E2%82%AC.jpg",
        'name="image"; size=5',
    ],
)
@pytest.mark.parametrize(
    "headers",
    [
        (),
        ("Content-Type: image/jpeg",),
        ("Content-Type: application/octet-stream", "Content-Transfer-Encoding: binary"),
        ("Content-Type: text/plain; charset=UTF-8",),
    ],
    ids=["bare", "image/jpeg", "octets", "text"],
)
def test_a_picture(client: httpx.Client, disposition: str, headers: tuple[str, ...]) -> None:
    small = send(client, PICTURE, disposition, *headers)
    assert small.status_code == 200, small.text
    assert small.json()["captions"][0]["text"] == caption_of("red ring")
    large = send(client, LARGE, disposition, *headers)
    assert len(LARGE) > 100_000 and large.status_code == 200, large.text
    assert large.json()["image"] == {"width": 640, "height": 480, "format": "JPEG"}


@pytest.mark.parametrize("data", [b"http://127.0.0.1:1/x.png", b"data:image/png;base64,AA==", b"5"])
def test_a_text_is_no_picture(client: httpx.Client, data: bytes) -> None:
    """The bytes decide, as of any file; nothing is fetched."""
    check(send(client, data, 'name="image"'), 415, "unsupported-image")


def test_an_empty_part(client: httpx.Client) -> None:
    assert send(client, b"", 'name="image"').status_code == 422


def test_several_pictures(client: httpx.Client) -> None:
    names = ["red ring", "gold cross"]
    files = [("images", (None, encode(draw(name)))) for name in names]
    response = client.post("/caption_batch", files=[*files, ("images", (None, "text"))])
    first, second, third = response.json()["results"]
    assert [one["captions"][0]["text"] for one in (first, second)] == list(map(caption_of, names))
    assert third["error"]["type"] == "/problems/unsupported-image"


def test_other_fields_are_texts_still(client: httpx.Client) -> None:
    details = check(send(client, LARGE, 'name="prompt"'), 400, "malformed-request")
    assert "16KB" in details.detail
    files = {"image": (None, PICTURE), "num_captions": (None, "2")}
    assert len(client.post("/caption", files=files).json()["captions"]) == 2
    named = {"image": (None, PICTURE), "num_captions": ("n.txt", "2")}
    details = check(client.post("/caption", files=named), 422, "invalid-request")
    assert "must be text, not a file" in details.detail


def test_a_file_in_the_query_is_none(client: httpx.Client) -> None:
    details = check(
        client.post("/caption?image=x", files={"id": (None, "1")}), 422, "invalid-request"
    )
    assert "must be a file, not text" in details.detail


def test_files_without_names_are_counted_and_bounded(client: httpx.Client) -> None:
    two = [("image", (None, PICTURE))] * 2
    assert "2 times" in check(client.post("/caption", files=two), 422, "invalid-request").detail
    many = [("images", (None, b"x"))] * 300
    check(client.post("/caption_batch", files=many), 400, "malformed-request")
    check(send(client, b"x" * (21 * 2**20), 'name="image"'), 413, "too-large")


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
@pytest.mark.parametrize(
    "how", ["image=@{}", "image=@{};filename=", "image=<{}", "image=<{};type=image/jpeg"]
)
def test_curl(server: Server, tmp_path: Path, how: str) -> None:
    file = tmp_path / "photo"
    file.write_bytes(encode(draw("red ring", 200), "JPEG", quality=95))
    done = subprocess.run(
        ["curl", "-sS", "-F", how.format(file), f"{server.url}/caption"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert caption_of("red ring") in done.stdout


def test_the_matchers_picture(matching_client: httpx.Client) -> None:
    files = [("image", (None, PICTURE)), ("texts", (None, "a dog")), ("texts", (None, "a cat"))]
    response = matching_client.post("/match", files=files)
    assert response.status_code == 200 and len(response.json()["matches"]) == 2
