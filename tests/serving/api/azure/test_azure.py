"""Azure's Image Analysis 4.0: a picture or its address in, captions and tags out."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.asking import PICTURE
from tests.drawings import caption_of
from tests.locked import ANNA, STRANGER
from tests.picture_site import Site
from tests.server import Server

RING = caption_of("red ring")
PATH = "/computervision/imageanalysis:analyze"
VERSION = {"api-version": "2024-02-01"}
BYTES = {"Content-Type": "application/octet-stream"}


def analyze(client: httpx.Client, features: str, **more: Any) -> Any:
    answer = client.post(
        PATH, params={**VERSION, "features": features, **more}, content=PICTURE, headers=BYTES
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_caption(client: httpx.Client) -> None:
    told = analyze(client, "caption", language="en")
    assert told.keys() == {"modelVersion", "metadata", "captionResult"}
    assert told["captionResult"]["text"] == RING and 0 < told["captionResult"]["confidence"] <= 1
    assert told["modelVersion"] == "compact:test"


def test_all_that_there_is(client: httpx.Client) -> None:
    told = analyze(client, "caption,denseCaptions,tags,read,people,objects,smartCrops")
    size = told["metadata"]
    dense = told["denseCaptionsResult"]["values"]
    assert dense[0]["text"] == RING and len({one["text"] for one in dense}) == len(dense) > 1
    assert dense[0]["boundingBox"] == {"x": 0, "y": 0, "w": size["width"], "h": size["height"]}
    assert [tag["name"] for tag in told["tagsResult"]["values"]] == ["ring", "paper"]
    assert told["readResult"] == {"blocks": []} and told["peopleResult"] == {"values": []}
    assert "captionResult" not in analyze(client, "Tags")


def test_addresses(client: httpx.Client, site: Site, fetching_server: Server) -> None:
    asked: Any = {
        "params": {**VERSION, "features": "caption"},
        "json": {"url": site.url("/picture")},
    }
    refused = client.post(PATH, **asked)
    assert refused.status_code == 403 and refused.json()["error"]["message"]
    with httpx.Client(base_url=fetching_server.url, timeout=30) as fetching:
        assert fetching.post(PATH, **asked).json()["captionResult"]["text"] == RING


@pytest.mark.parametrize(
    ("features", "content", "headers", "code"),
    [
        ("", PICTURE, BYTES, "InvalidRequest"),
        ("caption,x", PICTURE, BYTES, "InvalidRequest"),
        ("caption", b"", BYTES, "InvalidRequest"),
        ("caption", PICTURE[:100], BYTES, "InvalidRequest"),
        ("caption", b"%PDF-1.4", BYTES, "InvalidRequest"),
        ("caption", b"{", {"Content-Type": "application/json"}, "InvalidRequest"),
        ("caption", b"{}", {"Content-Type": "application/json"}, "InvalidRequest"),
    ],
)
def test_errors(
    client: httpx.Client, features: str, content: bytes, headers: dict[str, str], code: str
) -> None:
    params = {**VERSION, "features": features}
    answer = client.post(PATH, params=params, content=content, headers=headers)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["code"] == code and error["message"] and error["innererror"]["code"]


def test_keys(locked_server: Server) -> None:
    with httpx.Client(base_url=locked_server.url) as client:
        for header in ("Ocp-Apim-Subscription-Key", "X-API-Key"):
            for key, status in ((ANNA, 200), (STRANGER, 401)):
                answer = client.post(
                    PATH,
                    params={**VERSION, "features": "caption"},
                    content=PICTURE,
                    headers={**BYTES, header: key},
                )
                assert answer.status_code == status
        assert answer.json()["error"]["code"] == "401"
