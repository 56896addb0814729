"""`POST /caption` of a real server: captions, every option, every refusal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bentoml
import httpx
import pytest
from PIL import Image

from serving.contract.schemas import CaptionResponse
from tests.asking import PICTURE, caption, check
from tests.drawings import NAMES, caption_of, draw, encode

# --- BentoML's own client -------------------------------------------------------------------------


def test_bentomls_client_knows_the_api(client: httpx.Client, tmp_path: Path) -> None:
    path = tmp_path / "ring.png"
    path.write_bytes(PICTURE)
    with bentoml.SyncHTTPClient(str(client.base_url)) as bento:
        answer = bento.caption(image=path, num_beams=2, id="7", model="compact", prompt=None)
    assert answer["captions"][0]["text"] == caption_of("red ring")
    assert answer["id"] == "7"


# --- captions ------------------------------------------------------------------------------------


def test_a_picture_gets_its_caption(client: httpx.Client) -> None:
    response = caption(client, id="holiday-17")
    assert response.status_code == 200, response.text
    answer = CaptionResponse.model_validate(response.json())
    assert [found.text for found in answer.captions] == [caption_of("red ring")]
    assert answer.captions[0].log_prob < 0 and 0.5 < answer.captions[0].confidence <= 1
    assert (answer.model.name, answer.model.version, answer.model.method) == (
        ("compact", "test", "compact")
    )
    assert (answer.image.width, answer.image.height, answer.image.format) == (96, 96, "PNG")
    assert answer.id == "holiday-17"
    assert answer.timing_ms.inference > 0 and answer.timing_ms.decode > 0
    assert "words" not in response.json()["captions"][0]


@pytest.mark.parametrize("name", NAMES)
def test_the_caption_depends_on_the_picture(client: httpx.Client, name: str) -> None:
    response = caption(client, encode(draw(name, 200), "JPEG", quality=95))
    assert response.json()["captions"][0]["text"] == caption_of(name)


def test_the_id_is_the_requests_own_if_none_is_given(client: httpx.Client) -> None:
    response = caption(client)
    assert response.json()["id"] == response.headers["x-request-id"]
    response = client.post("/caption", files={"image": PICTURE}, headers={"X-Request-ID": "r-7"})
    assert response.json()["id"] == response.headers["x-request-id"] == "r-7"


@pytest.mark.parametrize(
    ("name", "content_type"), [("photo.jpg", "image/jpeg"), ("notes.txt", "text/plain"), ("", "")]
)
def test_the_bytes_decide_not_the_name(client: httpx.Client, name: str, content_type: str) -> None:
    files = {"image": (name or "blob", PICTURE, content_type)}
    response = client.post("/caption", files=files)
    assert response.json()["image"]["format"] == "PNG"
    assert response.json()["captions"][0]["text"] == caption_of("red ring")


@pytest.mark.parametrize("kind", ["CMYK", "P", "RGBA", "L", "animated", "turned", "16 bit"])
def test_kinds_of_pictures(client: httpx.Client, kind: str) -> None:
    picture = draw("red bar")
    if kind == "CMYK":
        data = encode(picture.convert("CMYK"), "JPEG", quality=95)
    elif kind == "animated":
        data = encode(picture, "GIF", save_all=True, append_images=[draw("blue ring")])
    elif kind == "turned":
        exif = Image.Exif()
        exif[0x0112] = 6
        data = encode(picture.rotate(90), "JPEG", exif=exif, quality=95)
    elif kind == "16 bit":
        data = encode(picture.convert("L").convert("I;16"))
    else:
        data = encode(picture.convert(kind))
    response = caption(client, data)
    assert response.status_code == 200, response.text
    if kind not in ("L", "16 bit"):
        assert response.json()["captions"][0]["text"] == caption_of("red bar")


# --- options -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"num_captions": "3"},
        {"num_beams": "5"},
        {"max_length": "4"},
        {"length_penalty": "-1.5"},
        {"temperature": "0.8", "top_p": "0.9", "seed": "7"},
        {"temperature": "0.8", "num_captions": "4"},
        {"attention": "true"},
        {"attention": "false"},
        {"model": "compact"},
        {"id": "ü" * 200},
    ],
    ids=str,
)
def test_every_option_is_taken(client: httpx.Client, options: dict[str, str]) -> None:
    response = caption(client, **options)
    assert response.status_code == 200, response.text
    captions = response.json()["captions"]
    wanted = int(options.get("num_captions", 1))
    # Samples of a model that is so sure of itself may be all the same.
    assert len(captions) == wanted or ("temperature" in options and 1 <= len(captions) <= wanted)
    if "max_length" in options:
        assert len(captions[0]["text"].split()) <= 4
    assert ("words" in captions[0]) == (options.get("attention") == "true")
    if "id" in options:
        assert response.json()["id"] == options["id"]


def test_attention_maps_go_with_the_words(client: httpx.Client) -> None:
    found = caption(client, attention="true").json()["captions"][0]
    assert found["text"] == caption_of("red ring")
    assert [word["word"] for word in found["words"]] == found["text"].rstrip(".").split()
    for word in found["words"]:
        assert sum(map(sum, word["attention"])) == pytest.approx(1, abs=1e-3)


def test_captions_are_best_first_and_sampling_repeats_with_a_seed(client: httpx.Client) -> None:
    confidences = [
        found["confidence"] for found in caption(client, num_captions=3).json()["captions"]
    ]
    assert confidences == sorted(confidences, reverse=True)
    sampled = [
        [found["text"] for found in caption(client, **options).json()["captions"]]
        for options in [{"temperature": "3", "seed": "5", "num_captions": "5"}] * 2
    ]
    assert sampled[0] == sampled[1]


@pytest.mark.parametrize(
    ("fields", "named", "said"),
    [
        ({"num_captions": "11"}, "num_captions", "10"),
        ({"num_captions": "0"}, "num_captions", "1"),
        ({"num_captions": "two"}, "num_captions", "integer"),
        ({"num_captions": ""}, "num_captions", "integer"),
        ({"num_beams": "99"}, "num_beams", "8"),
        ({"max_length": "65"}, "max_length", "64"),
        ({"length_penalty": "inf"}, "length_penalty", "5"),
        ({"temperature": "nan"}, "temperature", ""),
        ({"temperature": "0"}, "temperature", "greater than 0"),
        ({"top_p": "0.5"}, "the options together", "temperature"),
        ({"seed": "1"}, "the options together", "temperature"),
        ({"num_captions": "4", "num_beams": "2"}, "the options together", "num_beams"),
        ({"attention": "perhaps"}, "attention", "boolean"),
        ({"beams": "3"}, "beams", "unknown field"),
        ({"id": "x" * 201}, "id", "200"),
        ({"num_beams": ["2", "3"]}, "num_beams", "2 times"),
    ],
    ids=str,
)
def test_a_bad_field_is_named(
    client: httpx.Client, fields: dict[str, Any], named: str, said: str
) -> None:
    details = check(caption(client, **fields), 422, "invalid-request")
    assert details.errors is not None
    assert [error.field for error in details.errors] == [named]
    assert said in details.errors[0].detail
    assert named in details.detail


def test_an_option_the_method_cannot_honour_is_refused(client: httpx.Client) -> None:
    details = check(caption(client, prompt="a photograph of"), 422, "unsupported-option")
    assert "prompt" in details.detail and "compact" in details.detail


def test_an_unknown_model_is_refused_with_those_that_are_served(client: httpx.Client) -> None:
    details = check(caption(client, model="gpt-9"), 404, "unknown-model")
    assert "gpt-9" in details.detail and "compact" in details.detail


# --- bad uploads ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "status", "slug"),
    [
        (b"", 422, "broken-image"),
        (b"this is no picture", 415, "unsupported-image"),
        (b"%PDF-1.7", 415, "unsupported-image"),
        (PICTURE[:-40], 422, "broken-image"),
        (PICTURE[:60], 422, "broken-image"),
        (encode(draw("red ring"), "JPEG")[:-400], 422, "broken-image"),
        (encode(Image.new("1", (9000, 9000))), 422, "too-many-pixels"),
    ],
    ids=["empty", "text", "PDF", "truncated PNG", "header only", "truncated JPEG", "too many"],
)
def test_bad_pictures(client: httpx.Client, data: bytes, status: int, slug: str) -> None:
    check(caption(client, data, "photo.jpg"), status, slug)


def test_a_field_in_the_wrong_shape(client: httpx.Client) -> None:
    details = check(client.post("/caption", files={"foo": PICTURE}), 422, "invalid-request")
    assert details.errors is not None
    assert {error.field for error in details.errors} == {"foo", "image"}
    # The framework's own parser would fetch this address.
    form = {"image": (None, "http://127.0.0.1:1/x.png")}
    check(client.post("/caption", files=form), 415, "unsupported-image")
    files = {"image": PICTURE, "num_beams": ("n", b"3")}
    details = check(client.post("/caption", files=files), 422, "invalid-request")
    assert "num_beams: must be text" in details.detail
    two = [("image", PICTURE), ("image", PICTURE)]
    assert "2 times" in check(client.post("/caption", files=two), 422, "invalid-request").detail


@pytest.mark.parametrize(
    ("content", "content_type", "status", "slug"),
    [
        (b"{}", "application/json", 415, "unsupported-media-type"),
        (PICTURE, "image/png", 415, "unsupported-media-type"),
        (b"image=x", "application/x-www-form-urlencoded", 415, "unsupported-media-type"),
        (b"x", "application/vnd.bentoml+pickle", 415, "unsupported-media-type"),
        (b"", "", 415, "unsupported-media-type"),
        (b"x", "multipart/form-data", 400, "malformed-request"),
        (b"garbage", "multipart/form-data; boundary=b", 400, "malformed-request"),
        (b"", "multipart/form-data; boundary=b", 422, "invalid-request"),
    ],
)
def test_bodies_that_are_no_form(
    client: httpx.Client, content: bytes, content_type: str, status: int, slug: str
) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    check(client.post("/caption", content=content, headers=headers), status, slug)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit(client: httpx.Client, chunked: bool) -> None:
    size = 21 * 1024 * 1024

    def chunks() -> Iterator[bytes]:
        for _ in range(size // 65536):
            yield b"x" * 65536

    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    content: Any = chunks() if chunked else b"x" * size
    if chunked:  # what is read before the limit has to be a form
        start = b'--b\r\nContent-Disposition: form-data; name="image"; filename="x"\r\n\r\n'
        content = (part for parts in ([start], chunks()) for part in parts)
    response = client.post("/caption", content=content, headers=headers)
    assert "20 MiB" in check(response, 413, "too-large").detail


def test_a_large_picture_below_the_limits(client: httpx.Client) -> None:
    data = encode(draw("gold cross", 4000), "JPEG")
    response = caption(client, data)
    assert response.json()["captions"][0]["text"] == caption_of("gold cross")
    assert response.json()["image"]["width"] == 4000
