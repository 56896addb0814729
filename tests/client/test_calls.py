"""What is sent for each call, and what comes back."""

from __future__ import annotations

import email
import email.policy
import json
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from captionbox import Captionbox, CaptionOptions
from captionbox.errors import (
    ImageInputError,
    NotFoundError,
    UnexpectedAnswerError,
    UnprocessableContentError,
)

from tests.client.either import Either, json_answer
from tests.client.stand_in import answer_to, caption_of, picture, problem

PICTURE = picture("one")
NOT_FOUND = problem(404, "not-found", "Not found", "There is nothing here.")
BROKEN = problem(422, "broken-image", "Broken image", "Truncated.")


def parts(request: httpx.Request) -> list[tuple[str, str | None, str | None, bytes]]:
    """Return a multipart body's name, file name, media type and content, part by part."""
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    message = email.message_from_bytes(head + request.content, policy=email.policy.HTTP)
    found = []
    for part in message.iter_parts():  # type: ignore[attr-defined]
        name = part.get_param("name", header="content-disposition")
        media_type = part.get_content_type() if "content-type" in part else None
        found.append((name, part.get_filename(), media_type, part.get_payload(decode=True)))
    return cast("list[tuple[str, str | None, str | None, bytes]]", found)


def test_a_picture_and_its_options(either: Either, tmp_path: Path) -> None:
    (tmp_path / 'a "ü".jpg').write_bytes(PICTURE)
    options: dict[str, Any] = {
        "model": "compact",
        "num_captions": 2,
        "temperature": 0.5,
        "attention": False,
        "rerank": True,
        "prompt": "a photo\nof",
        "id": "mine",
        "seed": None,
    }
    answer = json_answer(answer_to(PICTURE, {"num_captions": 2, "id": "mine"}))
    result = either.with_client(
        lambda _: answer, {"api_key": "key-1"}, "caption", tmp_path / 'a "ü".jpg', **options
    )
    assert result.text == result.captions[0].text == caption_of(PICTURE)
    assert result.confidence == 0.5
    assert len(result.captions) == 2
    assert (result.model.name, result.image.width, result.id) == ("compact", 640, "mine")
    assert result.timing_ms.inference == 3.0
    request = either.requests[0]
    assert (request.method, request.url) == ("POST", "http://server/caption")
    assert request.headers["authorization"] == "Bearer key-1"
    assert request.headers["user-agent"].startswith("captionbox-python/")
    fields = {name: content for name, file, _, content in parts(request) if file is None}
    assert fields == {
        "model": b"compact",
        "num_captions": b"2",
        "temperature": b"0.5",
        "attention": b"false",
        "rerank": b"true",
        "prompt": b"a photo\nof",
        "id": b"mine",
    }
    assert PICTURE in request.content
    assert 'filename="a %22ü%22.jpg"'.encode() in request.content


def test_an_address(either: Either) -> None:
    url = "https://example.org/a.jpg"
    either.call(lambda _: json_answer(answer_to(b"")), "caption", url, num_beams=3, attention=True)
    request = either.requests[0]
    assert request.url == "http://server/caption_url"
    assert json.loads(request.content) == {"url": url, "num_beams": 3, "attention": True}


def test_fields_of_a_newer_server_are_kept(either: Either) -> None:
    answer = answer_to(PICTURE) | {"novel": {"a": 1}}
    answer["captions"][0]["match"] = 0.25
    result = either.call(lambda _: json_answer(answer), "caption", PICTURE)
    assert result.novel == {"a": 1}
    assert result.captions[0].match == 0.25


@pytest.mark.parametrize("method", ["caption", "caption_batch", "caption_many"])
def test_an_option_that_does_not_exist(either: Either, method: str) -> None:
    argument = PICTURE if method == "caption" else [PICTURE]
    with pytest.raises(TypeError, match="did you mean 'num_beams'"):
        either.call(lambda _: json_answer({}), method, argument, num_beam=3)
    assert either.requests == []


def test_matching(either: Either) -> None:
    answer = {"matches": [{"text": "a dog", "score": 0.9}, {"text": "ein Hund", "score": 0.1}]}
    result = either.call(
        lambda _: json_answer(answer), "match", PICTURE, ["ein Hund", "a dog"], model="bridge"
    )
    assert result.best.text == "a dog"
    assert [match.score for match in result.matches] == [0.9, 0.1]
    fields = [(name, content) for name, file, _, content in parts(either.requests[0]) if not file]
    assert fields == [("texts", b"ein Hund"), ("texts", b"a dog"), ("model", b"bridge")]


def test_matching_what_cannot_be_matched(either: Either) -> None:
    def never(_: httpx.Request) -> httpx.Response:
        raise AssertionError

    with pytest.raises(ImageInputError, match="download it first"):
        either.call(never, "match", "http://host/a.jpg", ["a"])
    with pytest.raises(ValueError, match="at least one text"):
        either.call(never, "match", PICTURE, [])
    with pytest.raises(TypeError, match="not one string"):
        either.call(never, "match", PICTURE, "a dog")


def test_models_and_version(either: Either) -> None:
    model = {"id": "compact", "object": "model", "owned_by": "captionbox", "default": True}
    found = either.call(lambda _: json_answer({"object": "list", "data": [model]}), "models")
    assert [(one.id, one.default, one.version) for one in found] == [("compact", True, None)]

    def version(**answer: Any) -> Any:
        return either.call(lambda _: httpx.Response(200, **answer), "server_version")

    assert version(json={"info": {"version": "0.1.7"}}) == "0.1.7"
    assert version(json={}) is None
    assert version(text="<html>") is None
    assert version(json={}, headers={"x-captionbox-version": "0.1.8"}) == "0.1.8"


class Batches:
    """Answers `/caption_batch`, or not, and single images."""

    def __init__(self, status: int = 200, kind: str = "not-found") -> None:
        self.status, self.kind = status, kind
        self.paths: list[str] = []
        self.sizes: list[int] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.paths.append(request.url.path)
        if request.url.path == "/caption_url":
            return json_answer(answer_to(b"address"))
        contents = [content for _, file, _, content in parts(request) if file is not None]
        if request.url.path == "/caption":
            return json_answer(answer_to(contents[0]))
        if self.status != 200:
            return json_answer(problem(self.status, self.kind, "No", "No."), self.status)
        self.sizes.append(len(contents))
        results = [
            {"error": BROKEN} if b"BROKEN" in content else answer_to(content)
            for content in contents
        ]
        return json_answer({"results": results})


def test_a_batch_keeps_order_and_returns_failures_as_values(either: Either, tmp_path: Path) -> None:
    images: list[Any] = [
        picture("a"), picture("BROKEN"), tmp_path / "missing.jpg", "http://host/b.jpg", picture("c")
    ]  # fmt: skip
    server = Batches()
    outcomes = either.call(server, "caption_batch", images, num_beams=2)
    assert server.paths == ["/caption_batch", "/caption_url"]
    assert [outcome.image for outcome in outcomes] == images
    assert [outcome.index for outcome in outcomes] == [0, 1, 2, 3, 4]
    assert [outcome.error is None for outcome in outcomes] == [True, False, False, True, True]
    assert outcomes[0].unwrap().text == caption_of(picture("a"))
    assert outcomes[4].result.text == caption_of(picture("c"))
    with pytest.raises(UnprocessableContentError, match="Truncated"):
        outcomes[1].unwrap()
    assert outcomes[1].error.request_id == "request-1"
    assert isinstance(outcomes[2].error, ImageInputError)


def test_long_lists_take_several_requests(either: Either) -> None:
    server = Batches()
    images = [picture(str(n)) for n in range(70)]
    outcomes = either.call(server, "caption_batch", images)
    assert server.sizes == [32, 32, 6]
    assert [one.result.text for one in outcomes] == [caption_of(image) for image in images]


def test_large_pictures_share_fewer_requests(either: Either) -> None:
    server = Batches()
    images = [picture(str(n)) + bytes(6 * 1024 * 1024) for n in range(4)]
    either.call(server, "caption_batch", images)
    assert server.sizes == [2, 2]


@pytest.mark.parametrize("status", [404, 405])
def test_a_server_without_batches_is_asked_one_by_one_and_that_is_remembered(status: int) -> None:
    server = Batches(status)
    images = [picture("a"), picture("b")]
    with Captionbox("http://server", transport=httpx.MockTransport(server)) as client:
        for _ in range(2):
            outcomes = client.caption_batch(images)
            assert [one.unwrap().text for one in outcomes] == [caption_of(one) for one in images]
    assert server.paths == ["/caption_batch", *["/caption"] * 4]


def test_a_batch_that_is_too_large_goes_one_by_one(either: Either) -> None:
    server = Batches(413, "too-large")
    outcomes = either.call(server, "caption_batch", [picture("a"), picture("b")])
    assert server.paths == ["/caption_batch", "/caption", "/caption"]
    assert all(outcome.error is None for outcome in outcomes)


def test_a_batch_that_is_refused_as_a_whole_is_refused_for_each(either: Either) -> None:
    server = Batches(404, "unknown-model")
    outcomes = either.call(server, "caption_batch", [picture("a"), picture("b")], model="x")
    assert [type(outcome.error) for outcome in outcomes] == [NotFoundError, NotFoundError]
    assert server.paths == ["/caption_batch"]


@pytest.mark.parametrize(
    "answer", [{}, [], {"results": {}}, {"results": [3, 4]}, {"results": [answer_to(b"a")]}]
)
def test_answers_that_are_no_batch(either: Either, answer: object) -> None:
    images = [picture("a"), picture("b")]
    outcomes = either.call(lambda _: json_answer(answer), "caption_batch", images)
    assert [type(outcome.error) for outcome in outcomes] == [UnexpectedAnswerError] * 2


def test_an_empty_batch(either: Either) -> None:
    assert either.call(Batches(), "caption_batch", []) == []


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"base_url": "localhost:3000"}, "http://"),
        ({"base_url": "ftp://host"}, "http://"),
        ({"base_url": "http://"}, "http://"),
        ({"base_url": "http://host:port"}, "not a URL"),
        ({"base_url": "http://host/?a=b"}, r"\?"),
        ({"api_key": "two words"}, "printable"),
        ({"api_key": "clé"}, "printable"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": float("inf")}, "timeout"),
        ({"max_retries": -1}, "max_retries"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Captionbox(**settings)


def test_settings_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return json_answer({"data": []})

    monkeypatch.setenv("CAPTIONBOX_BASE_URL", "https://host/captions/")
    monkeypatch.setenv("CAPTIONBOX_API_KEY", " from-environment\n")
    with Captionbox(transport=httpx.MockTransport(answer)) as client:
        client.models()
        assert client.base_url == "https://host/captions"
    with Captionbox("http://a", api_key="b", transport=httpx.MockTransport(answer)) as client:
        client.models()
    assert [str(request.url) for request in seen] == [
        "https://host/captions/v1/models",
        "http://a/v1/models",
    ]
    assert [request.headers["authorization"] for request in seen] == [
        "Bearer from-environment",
        "Bearer b",
    ]


def test_time_limits() -> None:
    seen: list[dict[str, float | None]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.extensions["timeout"])
        return json_answer({"data": []})

    for timeout in (60.0, 2.0, None):
        with Captionbox(timeout=timeout, transport=httpx.MockTransport(answer)) as client:
            client.models()
    assert [limit["read"] for limit in seen] == [60.0, 2.0, None]
    assert [limit["connect"] for limit in seen] == [5.0, 2.0, 5.0]


def test_options_are_documented() -> None:
    from captionbox.options import describe

    for name in CaptionOptions.__annotations__:
        assert describe(name).endswith(".")
