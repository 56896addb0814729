"""The multipart forms: whatever the bytes, a form or a 4xx."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.types import Message

from models.api.options import CaptionOptions
from serving.api.captions import CAPTION, CAPTION_BATCH
from serving.api.match import MATCH
from serving.base.problems import Problem
from serving.contract.requests import (
    IMAGE_FIELD,
    MOST_IMAGES,
    BatchForm,
    CaptionForm,
    MatchForm,
)

BATCH_FIELD = "images"
OPTION_FIELDS = tuple(CaptionOptions.model_fields)


async def read_batch_form(request: Request) -> BatchForm:
    return (await CAPTION_BATCH(request)).form()


async def read_caption_form(request: Request) -> CaptionForm:
    return (await CAPTION(request)).form()


async def read_match_form(request: Request) -> MatchForm:
    return (await MATCH(request)).form()


fuzz = settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)
BOUNDARY = "b0undary"


def read(
    body: bytes,
    content_type: str = f"multipart/form-data; boundary={BOUNDARY}",
    reader: Callable[[Request], Coroutine[Any, Any, Any]] = read_batch_form,
    chunk: int = 7,
    query: bytes = b"",
) -> BatchForm | CaptionForm | MatchForm:
    """Read a body that comes in chunks."""
    parts = [body[start : start + chunk] for start in range(0, len(body), chunk)] or [b""]

    async def receive() -> Message:
        part = parts.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(parts)}

    scope = {
        "type": "http",
        "app": Starlette(),
        "method": "POST",
        "path": "/caption",
        "query_string": query,
        "headers": [(b"content-type", content_type.encode("latin-1", "replace"))],
    }
    return asyncio.run(reader(Request(scope, receive)))


def part(disposition: bytes, content: bytes, *headers: bytes) -> bytes:
    lines = b"\r\n".join([b"Content-Disposition: form-data; " + disposition, *headers])
    return b"--b0undary\r\n" + lines + b"\r\n\r\n" + content + b"\r\n"


END = b"--b0undary--\r\n"
PICTURE = part(b'name="images"; filename="a.png"', b"\x89PNG\r\n--b0undar", b"Content-Type: a/b")
GOOD = PICTURE + part(b'name="num_beams"', b"3") + part(b'name="id"', "ü".encode()) + END


def test_the_good_form() -> None:
    for chunk in (1, 3, 10_000):
        form = read(GOOD, chunk=chunk)
        assert isinstance(form, BatchForm)
        assert form.images == [b"\x89PNG\r\n--b0undar"]
        assert (form.options.num_beams, form.id) == (3, "ü")


READERS = (
    (read_batch_form, BATCH_FIELD),
    (read_caption_form, IMAGE_FIELD),
    (read_match_form, IMAGE_FIELD),
)


def read_or_refuse(body: bytes, **arguments: Any) -> None:
    for reader, field in READERS:
        try:
            form = read(body.replace(b"images", field.encode()), reader=reader, **arguments)
        except Problem as problem:
            assert problem.status in (400, 415, 422)
        else:
            images = form.images if isinstance(form, BatchForm) else [form.image]
            assert 1 <= len(images) <= MOST_IMAGES
            assert all(isinstance(image, bytes) for image in images)


@fuzz
@given(st.binary(max_size=300), st.integers(1, 50))
def test_any_bytes(body: bytes, chunk: int) -> None:
    read_or_refuse(body, chunk=chunk)
    read_or_refuse(b"--b0undary\r\n" + body, chunk=chunk)


@fuzz
@given(
    st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.binary(max_size=4)), max_size=8),
    st.integers(0, len(GOOD)),
)
def test_a_good_form_with_changes(changes: list[tuple[int, bytes]], end: int) -> None:
    body = bytearray(GOOD)
    for place, change in changes:
        body[place : place + len(change)] = change
    read_or_refuse(bytes(body), chunk=11)
    read_or_refuse(bytes(body[:end]), chunk=11)


_NAMES = st.sampled_from([*OPTION_FIELDS, "images", "model", "id", "foo", "", "im\xe4ges"])
_VALUES = st.one_of(
    st.text(max_size=20), st.sampled_from(["1", "-1", "1e999", "nan", "true", "null", "9" * 5000])
)


@fuzz
@given(
    st.lists(st.tuples(_NAMES, st.sampled_from(["", "a.png", '"', "../x"]), _VALUES), max_size=6),
    st.sampled_from(
        [b"", b"Content-Transfer-Encoding: base64", b"X: y" * 100, b":", b"\xff: \xff"]
    ),
)
def test_forms_of_any_fields(fields: list[tuple[str, str, str]], header: bytes) -> None:
    body = b""
    for name, filename, value in fields:
        disposition = f'name="{name}"' + (f'; filename="{filename}"' if filename else "")
        extra = [header] if header else []
        body += part(disposition.encode(), value.encode("utf-8", "replace"), *extra)
    read_or_refuse(body + END, chunk=29)


@fuzz
@given(st.text(max_size=60))
def test_any_content_type(text: str) -> None:
    read_or_refuse(GOOD, content_type=text)
    read_or_refuse(GOOD, content_type="multipart/form-data; " + text)
    read_or_refuse(GOOD, content_type="multipart/form-data; boundary=" + text)


@pytest.mark.parametrize("charset", ["utf-16", "nonsense", "latin-1", "hex", "idna", "\x00"])
def test_any_charset(charset: str) -> None:
    for value in (b"\xff\xfe\xfd", b"abc", b""):
        body = PICTURE + part(b'name="id"', value) + END
        kind = f"multipart/form-data; boundary={BOUNDARY}; charset={charset}"
        read_or_refuse(body, content_type=kind)


@fuzz
@given(st.binary(max_size=80))
def test_any_query(query: bytes) -> None:
    read_or_refuse(GOOD, query=query, chunk=100)


@pytest.mark.parametrize(
    "body",
    [
        b"--b0undary\r\n" * 10_000,
        b"--b0undary\r\n" + b"X: y\r\n" * 50_000,
        b"--b0undary\r\n" + b"X" * 1_000_000,
        part(b'name="images"; filename="a"', b"") * 5_000 + END,
        part(b'name="id"', b"x" * 1_000_000) + END,
        part(b'name="id"', b"x") * 5_000 + END,
    ],
    ids=["boundaries", "headers", "one header", "files", "long field", "fields"],
)
def test_forms_that_are_too_much(body: bytes) -> None:
    with pytest.raises(Problem) as error:
        read(body, chunk=65536)
    assert error.value.status in (400, 422)
