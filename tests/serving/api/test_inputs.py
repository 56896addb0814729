"""`POST /caption_url` and `POST /caption_batch` of real servers."""

from __future__ import annotations

import base64
import concurrent.futures
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from openai import BadRequestError, OpenAI

from serving.contract.problem_details import ProblemDetails
from serving.contract.schemas import BatchResponse, CaptionResponse
from tests.asking import PICTURE, check
from tests.drawings import NAMES, caption_of, draw, encode
from tests.picture_site import Site
from tests.server import Server

DATA_URL = "data:image/png;base64," + base64.b64encode(PICTURE).decode()

# --- a server that fetches ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fetching(fetching_server: Server) -> Iterator[httpx.Client]:
    """Return a client of a server that may fetch from the site."""
    with httpx.Client(base_url=fetching_server.url, timeout=30) as client:
        yield client


def at(client: httpx.Client, url: str, **fields: Any) -> httpx.Response:
    return client.post("/caption_url", json={"url": url, **fields})


def test_the_picture_at_a_url_is_captioned(fetching: httpx.Client, site: Site) -> None:
    response = at(fetching, site.url("/picture"), num_captions=2, id="far-1", seed=None)
    assert response.status_code == 200, response.text
    answer = CaptionResponse.model_validate(response.json())
    assert answer.captions[0].text == caption_of("red ring") and len(answer.captions) == 2
    assert answer.id == "far-1" and answer.image.format == "PNG"
    assert answer.timing_ms.fetch is not None and answer.timing_ms.fetch > 0


@pytest.mark.parametrize(
    ("path", "status", "slug"),
    [
        ("/page", 415, "unsupported-image"),
        ("/status?code=404", 422, "url-answer"),
        ("/go?to=http://169.254.169.254/", 422, "url-refused"),
        ("/endless", 413, "too-large"),
        ("/trickle", 504, "url-timeout"),
        ("/nonsense", 502, "url-unreachable"),
    ],
)
def test_what_fails_on_the_way(
    fetching: httpx.Client, site: Site, path: str, status: int, slug: str
) -> None:
    details = check(at(fetching, site.url(path)), status, slug)
    assert details.instance == "/caption_url" and "127.0.0.1" not in details.detail


@pytest.mark.parametrize("url", ["http://127.0.0.2/", "http://localhost:22/", "http://[::1]/"])
def test_the_inside_is_out_of_reach(fetching: httpx.Client, url: str) -> None:
    check(at(fetching, url), 422, "url-refused")


def test_a_wrong_model_costs_no_fetch(fetching: httpx.Client, site: Site) -> None:
    site.asked.clear()
    check(at(fetching, site.url("/picture"), model="gpt-9"), 404, "unknown-model")
    assert not site.asked


# --- a server as it comes ------------------------------------------------------------------------


def test_urls_are_refused_unless_their_owner_allows_them(client: httpx.Client) -> None:
    details = check(at(client, "http://example.org/a.jpg"), 403, "urls-not-allowed")
    assert "CAPTIONBOX_ALLOW_URLS" in details.detail


def test_data_urls_are_always_read(client: httpx.Client) -> None:
    answer = at(client, DATA_URL).json()
    assert answer["captions"][0]["text"] == caption_of("red ring")
    check(at(client, "data:,hello"), 415, "unsupported-image")
    check(at(client, "data:;base64,?"), 422, "url-refused")


@pytest.mark.parametrize(
    "letters",
    [
        base64.encodebytes(PICTURE),
        base64.encodebytes(PICTURE).replace(b"\n", b"\r\n"),
        base64.urlsafe_b64encode(PICTURE),
        b" " + base64.b64encode(PICTURE).rstrip(b"=") + b"====",
    ],
)
def test_base64_as_programs_write_it(client: httpx.Client, letters: bytes) -> None:
    url = "data:image/png;base64," + letters.decode()
    assert at(client, url).json()["captions"][0]["text"] == caption_of("red ring")
    content = [{"type": "image_url", "image_url": {"url": url}}]
    messages = [{"role": "user", "content": content}]
    chat = client.post("/v1/chat/completions", json={"model": "compact", "messages": messages})
    assert chat.json()["choices"][0]["message"]["content"] == caption_of("red ring")


@pytest.mark.parametrize(
    ("body", "status", "slug", "named"),
    [
        (b"", 400, "malformed-request", None),
        (b"{", 400, "malformed-request", None),
        (b'{"url": "\xff"}', 400, "malformed-request", None),
        (b"[" * 100_000, 400, "malformed-request", None),
        (b"null", 422, "invalid-request", "the options together"),
        (b"[]", 422, "invalid-request", "the options together"),
        (b"{}", 422, "invalid-request", "url"),
        (b'{"url": 3}', 422, "invalid-request", "url"),
        (b'{"url": ""}', 422, "invalid-request", "url"),
        (b'{"url": "data:,", "beams": 3}', 422, "invalid-request", "beams"),
        (b'{"url": "data:,", "num_beams": "3"}', 422, "invalid-request", "num_beams"),
        (b'{"url": "data:,", "num_beams": 99}', 422, "invalid-request", "num_beams"),
        (b'{"url": "data:,", "attention": 1}', 422, "invalid-request", "attention"),
        (b'{"url": "data:,", "temperature": NaN}', 422, "invalid-request", "temperature"),
        (b'{"url": "data:,", "seed": 1}', 422, "invalid-request", "the options together"),
        (b'{"url": "data:,", "id": "%s"}' % (b"x" * 201), 422, "invalid-request", "id"),
    ],
)
def test_bad_bodies(
    client: httpx.Client, body: bytes, status: int, slug: str, named: str | None
) -> None:
    headers = {"Content-Type": "application/json; charset=utf-8"}
    details = check(client.post("/caption_url", content=body, headers=headers), status, slug)
    assert [error.field for error in details.errors or []] == ([named] if named else [])


@pytest.mark.parametrize("content_type", ["", "text/plain", "multipart/form-data; boundary=b"])
def test_a_body_of_another_type(client: httpx.Client, content_type: str) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    response = client.post("/caption_url", content=json.dumps({"url": DATA_URL}), headers=headers)
    assert "application/json" in check(response, 415, "unsupported-media-type").detail


# --- batches -------------------------------------------------------------------------------------


def batch(client: httpx.Client, pictures: list[bytes], **fields: Any) -> httpx.Response:
    files = [("images", ("x", picture)) for picture in pictures]
    return client.post("/caption_batch", files=files, data=fields)


def test_thirty_two_pictures_in_their_order(client: httpx.Client) -> None:
    names = [*NAMES, *reversed(NAMES)]
    pictures = [encode(draw(name, 120 + number)) for number, name in enumerate(names)]
    response = batch(client, pictures, num_beams="2", id="album")
    assert response.status_code == 200, response.text
    results = BatchResponse.model_validate(response.json()).results
    assert len(results) == 32
    for number, (name, result) in enumerate(zip(names, results, strict=True)):
        assert isinstance(result, CaptionResponse)
        assert result.captions[0].text == caption_of(name)
        assert result.image.width == 120 + number and result.id == "album"


BAD = {
    "empty": (b"", 422, "broken-image"),
    "text": (b"hello", 415, "unsupported-image"),
    "cut": (PICTURE[:-40], 422, "broken-image"),
    "pdf": (b"%PDF-1.7", 415, "unsupported-image"),
}


def test_bad_files_fail_alone(client: httpx.Client) -> None:
    pictures = [PICTURE]
    for data, _, _ in BAD.values():
        pictures += [data, PICTURE]
    response = batch(client, pictures)
    assert response.status_code == 200, response.text
    results = response.json()["results"]
    assert [result["captions"][0]["text"] for result in results[::2]] == (
        [caption_of("red ring")] * 5
    )
    for result, (_, status, slug) in zip(results[1::2], BAD.values(), strict=True):
        details = ProblemDetails.model_validate(result["error"])
        assert (details.status, details.type) == (status, f"/problems/{slug}")
        assert details.request_id == response.headers["x-request-id"]
        assert details.instance == "/caption_batch"


def test_a_batch_of_bad_files_only(client: httpx.Client) -> None:
    response = batch(client, [b"", b"hello"])
    assert response.status_code == 200
    assert [list(result) for result in response.json()["results"]] == [["error"], ["error"]]


@pytest.mark.parametrize(
    ("count", "fields", "status", "slug", "said"),
    [
        (33, {}, 422, "invalid-request", "images: at most 32 pictures, got 33"),
        (190, {}, 422, "invalid-request", "got 190"),
        (0, {}, 415, "unsupported-media-type", "multipart"),
        (0, {"id": "1"}, 415, "unsupported-media-type", "multipart"),
        (1, {"image": "x"}, 422, "invalid-request", "unknown field"),
        (2, {"num_beams": "99"}, 422, "invalid-request", "num_beams"),
        (2, {"num_beams": ["2", "2"]}, 422, "invalid-request", "2 times"),
        (2, {"model": "gpt-9"}, 404, "unknown-model", "gpt-9"),
        (2, {"prompt": "a photo of"}, 422, "unsupported-option", "prompt"),
    ],
)
def test_requests_that_fail_as_a_whole(
    client: httpx.Client, count: int, fields: dict[str, Any], status: int, slug: str, said: str
) -> None:
    details = check(batch(client, [PICTURE] * count, **fields), status, slug)
    assert said in details.detail


def test_more_parts_than_are_counted(client: httpx.Client) -> None:
    check(batch(client, [b""] * 300), 400, "malformed-request")


def test_batches_at_once_do_not_mix(client: httpx.Client) -> None:
    def one(turn: int) -> bool:
        names = [NAMES[(turn + step) % len(NAMES)] for step in range(12)]
        results = batch(client, [encode(draw(name)) for name in names]).json()["results"]
        return [one["captions"][0]["text"] for one in results] == [caption_of(n) for n in names]

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert all(pool.map(one, range(8)))


def test_openais_clients_may_name_an_address_too(fetching: httpx.Client, site: Site) -> None:
    with OpenAI(base_url=f"{fetching.base_url}/v1", api_key="none", max_retries=0) as client:

        def ask(url: str) -> str | None:
            picture: Any = {"type": "image_url", "image_url": {"url": url}}
            completion = client.chat.completions.create(
                model="compact", messages=[{"role": "user", "content": [picture]}]
            )
            return completion.choices[0].message.content

        assert ask(site.url("/picture")) == caption_of("red ring")
        with pytest.raises(BadRequestError) as refused:
            ask("http://169.254.169.254/")
        assert (refused.value.code, refused.value.type) == ("url_refused", "invalid_request_error")
