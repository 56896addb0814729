"""What may be given as an image, and what is sent for it."""

from __future__ import annotations

import base64
import io
import os
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from captionbox.errors import ImageInputError
from captionbox.images import Link, Upload, is_url, load
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from serving.base.problems import Problem
from serving.pictures.data_url import read_data_url

JPEG = b"\xff\xd8\xff and so on"


def loaded(image: object) -> Upload:
    upload = load(image)  # type: ignore[arg-type]
    assert isinstance(upload, Upload)
    return upload


def test_paths(tmp_path: Path) -> None:
    path = tmp_path / "a b.jpg"
    path.write_bytes(JPEG)
    for image in (path, str(path)):
        assert load(image) == Upload("a b.jpg", JPEG, "image/jpeg")


def test_the_media_type_is_told_by_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "really.png"
    path.write_bytes(b"RIFF1234WEBPVP8 ")
    assert loaded(path).media_type == "image/webp"
    assert loaded(b"?").media_type == "application/octet-stream"


@pytest.mark.parametrize("content", [JPEG, bytearray(JPEG), memoryview(JPEG)])
def test_bytes(content: bytes) -> None:
    assert load(content) == Upload("image", JPEG, "image/jpeg")


def test_files_are_read_from_where_they_are(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"skip" + JPEG)
    with path.open("rb") as file:
        file.seek(4)
        assert load(file) == Upload("photo.jpg", JPEG, "image/jpeg")
    assert load(io.BytesIO(JPEG)) == Upload("image", JPEG, "image/jpeg")
    read, write = os.pipe()
    os.write(write, JPEG)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        assert load(pipe) == Upload("image", JPEG, "image/jpeg")


def test_text_files_are_a_mistake_in_the_program() -> None:
    with pytest.raises(TypeError, match="binary mode"):
        load(io.StringIO("text"))  # type: ignore[arg-type]


def test_urls_are_left_to_the_server() -> None:
    for url in ("http://host/a.jpg", "HTTPS://host/a.jpg"):
        assert load(url) == Link(url)
    assert not is_url("httpd/photo.jpg")


@pytest.mark.parametrize(
    "url",
    [
        "data:image/jpeg;base64," + base64.b64encode(JPEG).decode(),
        "DATA:;BASE64," + base64.b64encode(JPEG).decode().rstrip("="),
        "data:image/jpeg;charset=x;base64,\n" + quote(base64.b64encode(JPEG).decode()),
        "data:," + quote(JPEG),
    ],
)
def test_data_urls_are_decoded_here(url: str) -> None:
    assert load(url) == Upload("image", JPEG, "image/jpeg")


@pytest.mark.parametrize(
    ("url", "content"),
    [
        ("data:;base64,_-8=", b"\xff\xef"),
        ("data:;base64,%5F-8", b"\xff\xef"),
        ("data:;base64,aG\nk=", b"hi"),
        ("data:;base64, a\r\n Gk\t=", b"hi"),
        (" \n data:image/png ; base64 ,aGk=", b"hi"),
        ("data:;base64,aGk====", b"hi"),
        ("data:;base64,aGk=#shown", b"hi"),
        ("data:text/plain,a\nb c#d", b"ab c"),
        ("data:base64,aGk=", b"aGk="),
    ],
)
def test_data_urls_are_read_as_leniently_as_the_server_reads_them(url: str, content: bytes) -> None:
    assert loaded(url).content == content == read_data_url(url, 100)


_PIECES = st.sampled_from(
    ["aGk=", "_-8", "+/8=", "%2B", "%0A", "\n", "\r\n", "\t", "\f", " ", "=", "#", ",", ";", "a",
     "Ā", "base64", "BASE64", ";base64,", "image/png", "\x00", "*", "%"]
)  # fmt: skip


@settings(max_examples=500, deadline=None)
@given(
    before=st.sampled_from(["", " ", "\n\t"]),
    head=st.sampled_from(["", "image/png", ";base64,", " ; base64 ,", ";charset=x;Base64,"]),
    rest=st.lists(_PIECES, max_size=8),
)
def test_sdk_and_server_read_the_same(before: str, head: str, rest: list[str]) -> None:
    url = f"{before}data:{head}{''.join(rest)}"
    try:
        expected = read_data_url(url, 10_000)
    except Problem:
        expected = b""
    if expected:
        assert loaded(url).content == expected
    else:
        with pytest.raises(ImageInputError, match=r"data: URL|is empty"):
            load(url)


@pytest.mark.parametrize(
    ("url", "reason"),
    [("data:image/png;base64", "no comma"), ("data:;base64,a*b=", "base64"), ("data:,", "empty")],
)
def test_broken_data_urls(url: str, reason: str) -> None:
    with pytest.raises(ImageInputError, match=reason):
        load(url)


@given(st.binary(min_size=1, max_size=50))
def test_any_bytes_survive_a_data_url(content: bytes) -> None:
    url = "data:application/octet-stream;base64," + base64.b64encode(content).decode()
    assert loaded(url).content == content


def test_what_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").write_bytes(b"")
    with pytest.raises(ImageInputError, match=r"cannot read .*missing.jpg: No such file"):
        load(tmp_path / "missing.jpg")
    with pytest.raises(ImageInputError, match="directory"):
        load(tmp_path)
    with pytest.raises(ImageInputError, match=r"empty.jpg is empty"):
        load(tmp_path / "empty.jpg")
    with pytest.raises(ImageInputError, match="the image is empty"):
        load(b"")
    with pytest.raises(ImageInputError, match="null"):
        load("a\0b.jpg")
    closed = io.BytesIO(JPEG)
    closed.close()
    with pytest.raises(ImageInputError, match="closed"):
        load(closed)


@pytest.mark.parametrize("image", [None, 3, ["a.jpg"], object()])
def test_other_things_are_a_mistake_in_the_program(image: object) -> None:
    with pytest.raises(TypeError, match=type(image).__name__):
        load(image)  # type: ignore[arg-type]


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes only there")
def test_file_names_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.jpg")
    path.write_bytes(JPEG)
    assert load(path) == Upload("caf?.jpg", JPEG, "image/jpeg")


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr", "I", "F", "LAB", "HSV"])
def test_opaque_pillow_images_go_as_jpeg(mode: str) -> None:
    upload = loaded(Image.new(mode, (20, 10)))
    assert upload.media_type == "image/jpeg"
    assert Image.open(io.BytesIO(upload.content)).size == (20, 10)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "RGBa"])
def test_pillow_images_with_alpha_go_as_png(mode: str) -> None:
    upload = loaded(Image.new(mode, (20, 10)))
    assert upload.media_type == "image/png"
    assert Image.open(io.BytesIO(upload.content)).mode == "RGBA"


def test_pillow_images_go_upright() -> None:
    image = Image.new("RGB", (20, 10))
    image.getexif()[0x0112] = 6
    assert Image.open(io.BytesIO(loaded(image).content)).size == (10, 20)


def test_a_pillow_image_that_cannot_be_decoded(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 90).save(buffer, "PNG")
    with pytest.raises(ImageInputError, match="Pillow"):
        load(Image.open(io.BytesIO(buffer.getvalue()[:900])))
