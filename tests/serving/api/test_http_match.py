"""`POST /match` and `rerank` of a real server with a tiny BridgeTower."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from models.api.matcher import Matcher
from models.pictures.sizing import to_pixels
from models.registry import load_matcher
from serving.contract.schemas import CaptionResponse, MatchResponse
from tests.asking import PICTURE, caption, check
from tests.drawings import NAMES, caption_of, draw, encode
from tests.matchers import LONGEST
from tests.server import Server

TEXTS = ["a dog", "A red ring on paper.", "Ein Ring – für dich, 指輪"]

Score = Callable[[bytes, list[str]], list[float]]


@pytest.fixture(scope="module")
def matcher(tiny_matcher: Path) -> Matcher:
    return load_matcher(tiny_matcher)


@pytest.fixture
def score(matcher: Matcher) -> Score:
    """Return a function that scores in this process, without any server."""

    def score(image: bytes, texts: list[str]) -> list[float]:
        pixels = to_pixels(Image.open(io.BytesIO(image)), matcher.preprocess)
        return matcher.score(np.stack([pixels]), [texts])[0]

    return score


def match(
    client: httpx.Client, texts: list[str] | str, image: bytes = PICTURE, **fields: Any
) -> httpx.Response:
    """Ask for a ranking; `fields` are the form's other fields."""
    return client.post("/match", files={"image": image}, data={"texts": texts, **fields})


def test_texts_are_ranked(matching_client: httpx.Client, score: Score) -> None:
    response = match(matching_client, TEXTS, id="holiday-17")
    assert response.status_code == 200, response.text
    answer = MatchResponse.model_validate(response.json())
    found = {one.text: one.score for one in answer.matches}
    assert found == pytest.approx(dict(zip(TEXTS, score(PICTURE, TEXTS), strict=True)), abs=1e-4)
    assert [one.score for one in answer.matches] == sorted(found.values(), reverse=True)
    assert answer.model.model_dump() == {
        "name": "bridgetower", "version": "test", "method": "bridgetower",
    }  # fmt: skip
    assert (answer.image.width, answer.image.height, answer.image.format) == (96, 96, "PNG")
    assert answer.id == "holiday-17"
    assert answer.timing_ms.inference > 0 and answer.timing_ms.decode > 0


def test_the_score_is_the_pictures_too(matching_client: httpx.Client) -> None:
    scores = set()
    for name in NAMES[:4]:
        answer = match(matching_client, ["a ring"], encode(draw(name)), model="bridgetower").json()
        scores.add(round(answer["matches"][0]["score"], 4))
    assert len(scores) == 4


def test_as_many_texts_as_allowed_and_the_same_one_twice(matching_client: httpx.Client) -> None:
    texts = [*(f"picture {number}" for number in range(31)), "picture 7"]
    matches = match(matching_client, texts).json()["matches"]
    assert sorted(one["text"] for one in matches) == sorted(texts)
    same = [one["score"] for one in matches if one["text"] == "picture 7"]
    assert same[0] == pytest.approx(same[1], abs=1e-5)


def test_requests_at_once_get_their_own_scores(
    matching_server: Server, matching_client: httpx.Client, score: Score
) -> None:
    """Batches count pairs: many requests share one, and one may be divided between two."""
    images = [encode(draw(name)) for name in NAMES[:12]]
    texts = [[f"{name} {number}" for number in range(3 + 2 * index)]
             for index, name in enumerate(NAMES[:12])]  # fmt: skip
    before = _batches(matching_client)

    async def ask() -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=matching_server.url, timeout=60) as client:
            return await asyncio.gather(
                *(
                    client.post("/match", files={"image": image}, data={"texts": group})
                    for image, group in zip(images, texts, strict=True)
                )
            )

    for image, group, response in zip(images, texts, asyncio.run(ask()), strict=True):
        assert response.status_code == 200, response.text
        found = {one["text"]: one["score"] for one in response.json()["matches"]}
        assert found == pytest.approx(dict(zip(group, score(image, group), strict=True)), abs=1e-4)
    batches, pairs = np.subtract(_batches(matching_client), before)
    assert pairs == sum(map(len, texts)) == 168
    assert batches >= 168 / 32


def _batches(client: httpx.Client) -> tuple[float, float]:
    """Return how many batches of pairs there were, and how many pairs."""
    text = client.get("/metrics").text
    found = [
        re.search(rf"^captionbox_pairs_per_batch_{kind}\{{.*\}} ([\d.]+)$", text, re.MULTILINE)
        for kind in ("count", "sum")
    ]
    count, total = (float(one[1]) if one else 0.0 for one in found)
    return count, total


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ([f"{number}" for number in range(33)], "texts: at most 32 texts, got 33"),
        (["a", "  "], "texts: text 2 is empty"),
        (["a", "x" * 2001], "texts: text 2 has 2,001 characters, at most 2,000 are read"),
        (["x" * 100_000], "texts: text 1 has 100,000 characters"),
        (
            ["a", "ü" * (LONGEST // 2 + 1)],
            f"texts: text 2 is too long: at most {LONGEST} tokens are read, the text has",
        ),
    ],
)
def test_texts_over_a_limit_are_named(
    matching_client: httpx.Client, texts: list[str], said: str
) -> None:
    details = check(match(matching_client, texts), 422, "invalid-request")
    assert said in details.detail
    assert {error.field for error in details.errors or []} == {"texts"}


def test_the_longest_text_and_a_request_beside_one_that_is_too_long(
    matching_client: httpx.Client,
) -> None:
    assert match(matching_client, "x" * LONGEST).status_code == 200


def test_other_wrong_fields(matching_client: httpx.Client) -> None:
    post = matching_client.post
    image = {"image": PICTURE}
    missing = check(post("/match", files=image), 422, "invalid-request")
    assert "texts: required: 1 to 32 texts" in missing.detail
    missing = check(post("/match", files={}, data={"texts": "a"}), 415, "unsupported-media-type")
    assert "'image'" in missing.detail
    files = {"texts": b"a text in a file", "image": PICTURE}
    assert (
        "texts: must be text" in check(post("/match", files=files), 422, "invalid-request").detail
    )
    details = check(match(matching_client, ["a"], num_beams="2"), 422, "invalid-request")
    assert "num_beams: unknown field; known: image, texts, model, id" in details.detail
    details = check(match(matching_client, ["a"], id=["1", "2"]), 422, "invalid-request")
    assert "id: given 2 times" in details.detail
    details = check(match(matching_client, ["a"], id="x" * 201), 422, "invalid-request")
    assert "id: at most 200 characters" in details.detail
    check(post("/match", json={"texts": ["a"]}), 415, "unsupported-media-type")
    check(post("/match", content=b"x", headers={"Content-Type": "multipart/form-data"}), 400,
          "malformed-request")  # fmt: skip


def test_wrong_pictures(matching_client: httpx.Client) -> None:
    check(match(matching_client, ["a"], b""), 422, "broken-image")
    check(match(matching_client, ["a"], PICTURE[: len(PICTURE) // 2]), 422, "broken-image")
    check(match(matching_client, ["a"], b"%PDF-1.4"), 415, "unsupported-image")


def test_only_the_matcher_matches_and_only_captioners_caption(
    matching_client: httpx.Client,
) -> None:
    for name in ("compact", "nobody"):
        details = check(match(matching_client, ["a"], model=name), 404, "unknown-model")
        assert f"No matcher '{name}' is served here; served: bridgetower" in details.detail
    details = check(caption(matching_client, model="bridgetower"), 404, "unknown-model")
    assert "'bridgetower' is a matcher and writes no captions; served: compact." in details.detail


def test_other_methods_are_not_allowed(matching_client: httpx.Client) -> None:
    response = matching_client.get("/match")
    check(response, 405, "method-not-allowed")
    assert response.headers["allow"] == "POST"


# --- rerank ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [{}, {"num_beams": "7"}, {"temperature": "2", "seed": "1"}],
    ids=["as the model does", "beams", "sampling"],
)
def test_captions_are_ordered_by_the_matcher(
    matching_client: httpx.Client, score: Score, fields: dict[str, str]
) -> None:
    response = caption(matching_client, rerank="true", num_captions="5", **fields)
    assert response.status_code == 200, response.text
    answer = CaptionResponse.model_validate(response.json())
    texts = [one.text for one in answer.captions]
    scores = [one.match_score or 0.0 for one in answer.captions]
    assert len(texts) == 5 and len(set(texts)) > 1
    assert scores == pytest.approx(score(PICTURE, texts), abs=1e-4)
    assert scores == sorted(scores, reverse=True)
    plain = caption(matching_client, num_captions="5", **fields).json()
    beside = {one["text"]: one for one in plain["captions"]}
    for one in answer.captions:
        assert one.log_prob == pytest.approx(beside[one.text]["log_prob"], abs=1e-4)
        assert one.confidence == pytest.approx(beside[one.text]["confidence"], abs=1e-4)
    assert "match_score" not in plain["captions"][0] and "matcher" not in plain
    assert answer.matcher and answer.matcher.name == "bridgetower"
    assert answer.model.name == "compact"
    assert answer.timing_ms.inference > 0


def test_the_best_of_five_is_chosen_where_one_is_asked_for(matching_client: httpx.Client) -> None:
    five = caption(matching_client, rerank="true", num_captions="5").json()["captions"]
    for fields in ({}, {"num_captions": "1"}):
        best = caption(matching_client, rerank="true", **fields).json()["captions"]
        assert [one["text"] for one in best] == [five[0]["text"]]
    two = caption(matching_client, rerank="true", num_captions="2").json()["captions"]
    assert [one["text"] for one in two] == [one["text"] for one in five[:2]]


def test_a_narrow_search_leaves_fewer_to_choose_from(matching_client: httpx.Client) -> None:
    plain = caption(matching_client, num_beams="2", num_captions="2").json()["captions"]
    best = caption(matching_client, num_beams="2", rerank="true").json()["captions"]
    assert len(best) == 1 and best[0]["text"] in [one["text"] for one in plain]
    refused = caption(matching_client, num_beams="1", rerank="true")
    details = check(refused, 422, "invalid-request")
    assert "rerank chooses among several captions" in details.detail


def test_rerank_with_attention_and_in_a_batch(matching_client: httpx.Client) -> None:
    told = caption(matching_client, rerank="true", attention="true").json()["captions"][0]
    assert [word["word"] for word in told["words"]] == told["text"].rstrip(".").split()
    images = [("images", encode(draw(name))) for name in NAMES[:3]] + [("images", b"none")]
    response = matching_client.post("/caption_batch", files=images, data={"rerank": "true"})
    *good, bad = response.json()["results"]
    assert all(0 <= one["captions"][0]["match_score"] <= 1 for one in good)
    assert bad["error"]["status"] == 415


def test_without_rerank_nothing_is_matched(matching_client: httpx.Client) -> None:
    before = _batches(matching_client)
    for value in ("false", None):
        answer = caption(matching_client, **({"rerank": value} if value else {})).json()
        assert answer["captions"][0]["text"] == caption_of("red ring")
        assert "match_score" not in answer["captions"][0]
    assert _batches(matching_client) == before


# --- what the server tells of itself --------------------------------------------------------------


def test_it_is_documented_with_its_limits_and_an_example(matching_client: httpx.Client) -> None:
    document = matching_client.get("/docs.json").json()
    operation = document["paths"]["/match"]["post"]
    form = operation["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form["required"] == ["image", "texts"]
    assert form["properties"]["texts"]["maxItems"] == 32
    assert form["properties"]["texts"]["items"]["maxLength"] == 2000
    assert form["properties"]["model"]["enum"] == ["bridgetower"]
    for status in ("400", "404", "413", "415", "422", "503"):
        assert operation["responses"][status]["content"].keys() == {"application/problem+json"}
    example = document["components"]["schemas"]["MatchResponse"]["example"]
    answer = MatchResponse.model_validate(example)
    assert answer.matches[0].score > answer.matches[1].score
    captioning = document["paths"]["/caption"]["post"]["requestBody"]["content"]
    rerank = captioning["multipart/form-data"]["schema"]["properties"]["rerank"]
    assert rerank["type"] == "boolean" and "matcher" in rerank["description"]
    assert "match_score" in document["components"]["schemas"]["Caption"]["properties"]


def test_models_tell_which_kind_they_are(matching_client: httpx.Client) -> None:
    listed = matching_client.get("/v1/models").json()["data"]
    assert [(one["id"], one["kind"], one["default"]) for one in listed] == [
        ("compact", "captioner", True),
        ("bridgetower", "matcher", False),
    ]
    assert matching_client.get("/v1/models/bridgetower").json() == listed[1]
    assert listed[1]["input"] == {"height": 64, "width": 64, "fit": "multiple"}
    assert "rerank" in listed[0]["options"]
    assert listed[1]["options"] == []


def test_a_server_without_a_matcher_says_so(client: httpx.Client) -> None:
    for asked in (match(client, ["a"]), client.post("/match", content=b"whatever")):
        assert "CAPTIONBOX_MATCHER" in check(asked, 404, "no-matcher").detail
    details = check(caption(client, rerank="true"), 422, "unsupported-option")
    assert "rerank" in details.detail and "matcher" in details.detail
    assert caption(client, rerank="false").status_code == 200
    document = client.get("/docs.json").json()
    assert "/match" not in document["paths"]
    assert "MatchResponse" not in document["components"]["schemas"]
