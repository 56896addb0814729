"""The OpenAPI document that FastAPI makes has everything that the one written by hand had.

`docs_before.json` holds that one, as two servers told it: a plain one, and one with everything.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from serving.api.openai.schemas import REFUSED
from serving.app import create_app
from serving.base.keys import parse_entries
from serving.base.settings import Settings

BEFORE: dict[str, dict[str, Any]] = json.loads(
    Path(__file__).with_name("docs_before.json").read_text(encoding="utf-8")
)
KEYS = parse_entries(f"anna:{hashlib.sha256(b'x').hexdigest()}")
SETTINGS = {
    "plain": Settings(),
    "everything": Settings(matcher="bridgetower", allow_urls=True, api_keys=KEYS),
}

Place = tuple[str, ...]

CHAT_PARTS = {"Message", "TextPart", "ImagePart", "ImageUrl", "StreamOptions"}

ONCE_REFUSED = REFUSED.keys() | {"stop", "response_format"}

CHAT = "/v1/chat/completions"
OPEN = {CHAT: True, "/caption_url": {"type": "null"}}
"""What bodies may have beside their fields, where that is anything."""

DIFFERENT: dict[str, Callable[[Place, Any], bool]] = {
    "a default of an answer's field that is null: FastAPI leaves out what is null": (
        lambda place, value: place[-1] == "default" and place[0] == "components" and value is None
    ),
    "the server's address: beside the document, not at the host's root": (
        lambda place, value: place == ("servers", "0", "url") and value == "/"
    ),
    "enumerations of null, lists and objects, which generators of clients cannot read": (
        lambda place, value: (
            "enum" in place and CHAT in place and not ONCE_REFUSED.isdisjoint(place)
        )
    ),
    "members that ask for nothing are ignored": (
        lambda place, value: (
            place[-1] == "additionalProperties"
            and value is False
            and (CHAT in place or "/caption_url" in place or place[2] in CHAT_PARTS)
        )
    ),
    "null as the only type, which generators of clients lack: now OpenAI's own types, or null": (
        lambda place, value: (
            value == "null"
            and place[1] == "schemas"
            and place[2] in {"AnswerMessage", "Choice", "ChunkChoice"}
            and place[-2] in {"refusal", "logprobs"}
        )
    ),
    "any number of tokens is taken for a limit": (
        lambda place, value: place[-1] == "minimum" and CHAT in place and "max_" in str(place[-4:])
    ),
    "a message may say nothing": (
        lambda place, value: place[1:] == ("schemas", "Message", "required")
    ),
    "a nucleus of 0, where nothing is sampled": (
        lambda place, value: place[-1] == "exclusiveMinimum" and "top_p" in place and CHAT in place
    ),
}
"""What is gone on purpose: why, and whether something at a place is that."""


WORDS = {"info", "tags", "title", "summary", "description", "example", "examples"}
"""What a document says to people, who may well be told in other words."""


def document(kind: str) -> dict[str, Any]:
    answer = TestClient(create_app(SETTINGS[kind])).get("/docs.json")
    assert answer.status_code == 200
    told: dict[str, Any] = answer.json()
    return told


def members(value: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Yield everything that a document says, each with its place."""
    if isinstance(value, dict):
        for name, member in value.items():
            yield from members(member, (*place, name))
        if not value:
            yield place, {}
    elif isinstance(value, list) and any(isinstance(one, dict) for one in value):
        for number, member in enumerate(value):
            yield from members(member, (*place, str(number)))
    else:
        yield place, value


def is_wording(place: Place) -> bool:
    # A field may be called so as well: its schema is more than words.
    return any(
        name in WORDS and (number == 0 or place[number - 1] != "properties")
        for number, name in enumerate(place)
    )


@pytest.mark.parametrize("kind", SETTINGS)
def test_nothing_is_lost(kind: str) -> None:
    """Names, types, limits, defaults, what is required: as they were, or with more to choose."""
    now = dict(members(document(kind)))
    compared = 0
    for place, value in members(BEFORE[kind]):
        if is_wording(place) or any(rule(place, value) for rule in DIFFERENT.values()):
            continue
        found = now.get(place)
        if isinstance(value, list) and isinstance(found, list):
            assert [one for one in value if one not in found] == [], " / ".join(place)
        else:
            assert found == value, " / ".join(place)
        compared += 1
    assert compared > 450


@pytest.mark.parametrize("kind", SETTINGS)
def test_paths_methods_and_statuses_are_the_same(kind: str) -> None:
    def operations(paths: dict[str, Any]) -> dict[tuple[str, str], set[str]]:
        return {
            (path, method): set(operation["responses"])
            for path, item in paths.items()
            for method, operation in item.items()
        }

    before, now = operations(BEFORE[kind]["paths"]), operations(document(kind)["paths"])
    for operation, statuses in before.items():
        more = {"408"} if operation[1] == "post" else set()
        assert now[operation] == statuses | more, operation


@pytest.mark.parametrize("kind", SETTINGS)
def test_fields_and_what_is_required_are_the_same(kind: str) -> None:
    now = document(kind)["paths"]
    count = 0
    for path, item in BEFORE[kind]["paths"].items():
        for method, operation in item.items():
            for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
                schema = now[path][method]["requestBody"]["content"][media_type]["schema"]
                assert set(content["schema"]["properties"]) <= set(schema["properties"])
                assert content["schema"]["required"] == schema["required"]
                assert schema["additionalProperties"] == OPEN.get(path, False)
                count += len(content["schema"]["properties"])
    assert count >= 70


@pytest.mark.parametrize("kind", SETTINGS)
def test_enumerations_are_of_texts_and_numbers(kind: str) -> None:
    """Of null, lists or objects, some generators of clients make nothing, or crash."""
    enumerations = [(place, value) for place, value in members(document(kind)) if "enum" in place]
    assert len(enumerations) > 5
    for place, values in enumerations:
        assert place[-1] == "enum" and values, place
        assert {type(value) for value in values} <= {str, int, float}, values


def test_limits_are_whole() -> None:
    """FastAPI's own models of the document would make this number a float, and another one."""
    fields = document("plain")["paths"]["/caption"]["post"]["requestBody"]["content"]
    seed = fields["multipart/form-data"]["schema"]["properties"]["seed"]
    assert seed["maximum"] == 2**63 - 1 and isinstance(seed["maximum"], int)


def test_nothing_is_fastapis_own() -> None:
    """No pages from elsewhere, and none of its shapes of errors."""
    client = TestClient(create_app(Settings()))
    assert client.get("/redoc").status_code == client.get("/openapi.json").status_code == 404
    assert "HTTPValidationError" not in json.dumps(document("everything"))
    assert "cdn" not in client.get("/docs").text
