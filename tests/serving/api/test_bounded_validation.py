"""What is wrong with a request is told in a bounded answer, whatever was sent, and at once."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from serving.api.bodies import MOST_MEMBERS
from serving.base.problems import MOST_ERRORS
from serving.http.problem_answers import MOST_BYTES
from tests.asking import PICTURE, check

UNKNOWN = {f"field{number}": number for number in range(1_000)}
NASTY = {"\x01" * 300 + str(number): "\x02" * 500 for number in range(200)}
PART = {"type": "image_url", "image_url": {"url": "data:,"}}


def chat(content: Any, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content, **more}], "model": "compact"}


@pytest.mark.parametrize("fields", [UNKNOWN, NASTY])
def test_many_unknown_fields_are_told_in_part(client: httpx.Client, fields: dict[str, Any]) -> None:
    response = client.post("/caption_url", json={"url": "data:,", **fields})
    problem = check(response, 422, "invalid-request")
    assert problem.errors and len(problem.errors) <= MOST_ERRORS
    assert problem.detail.endswith(f"; and {len(fields) - MOST_ERRORS:,} more")
    assert len(response.content) <= MOST_BYTES


def test_many_unknown_fields_of_a_form_are_told_in_part(client: httpx.Client) -> None:
    fields = {f"field{number}": "x" for number in range(150)}
    response = client.post("/caption", files={"image": PICTURE}, data=fields)
    problem = check(response, 422, "invalid-request")
    assert problem.errors and len(problem.errors) == MOST_ERRORS
    assert "; and 130 more" in problem.detail and len(response.content) <= MOST_BYTES


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/caption_url", {"url": "data:,", **{f"f{n}": n for n in range(MOST_MEMBERS)}}),
        ("/caption_url", {"url": "data:,", "seed": [0] * (MOST_MEMBERS + 1)}),
        ("/v1/chat/completions", chat("x", **{f"f{n}": n for n in range(MOST_MEMBERS)})),
        ("/v1/chat/completions", chat([PART] * MOST_MEMBERS)),
    ],
)
def test_too_many_members_are_refused_unread(
    client: httpx.Client, path: str, body: dict[str, Any]
) -> None:
    response = client.post(path, json=body)
    assert response.status_code in (400, 422), response.text[:300]
    assert f"more than {MOST_MEMBERS:,} members" in response.text
    assert len(response.content) <= MOST_BYTES


def test_deep_nesting_is_no_json(client: httpx.Client) -> None:
    body = b'{"url":' + b"[" * 5_000 + b"]" * 5_000 + b"}"
    response = client.post(
        "/caption_url", content=body, headers={"Content-Type": "application/json"}
    )
    assert response.status_code in (400, 422) and len(response.content) <= MOST_BYTES


def test_texts_may_have_many_commas(client: httpx.Client) -> None:
    text = "a, " * (MOST_MEMBERS // 2)
    response = client.post("/v1/chat/completions", json=chat(text))
    assert response.status_code == 200 and "there is none" in response.text


def test_a_long_path_is_cut(client: httpx.Client) -> None:
    response = client.get("/" + "%25" * 3_000)
    check(response, 404, "not-found")
    assert len(response.content) <= MOST_BYTES
    assert json.loads(response.content)["instance"].startswith("/%25")
