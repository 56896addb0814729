"""JSON that clients ask for, filled from a caption; and the things that a caption names."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.api.nouns import nouns
from serving.api.structured import Said, any_json, filled

TEXT = "Two dogs and a man run on the beach."
SAID = Said.by(TEXT, 0.52)
LABELS = ["dog", "man", "beach"]


def fill(schema: dict[str, Any]) -> Any:
    return json.loads(filled(schema, SAID))


def members(*required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required)}


TEXTS = {"type": "string"}
LISTS = {"type": "array", "items": TEXTS}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (TEXT, tuple(LABELS)),
        ("A red ring on paper.", ("ring", "paper")),
        ("A hot dog and two fire hydrants by a bus.", ("hot dog", "fire hydrant", "bus")),
        ("People watch the children; a child's knives.", ("person", "child", "knife")),
        ("It runs quickly.", ()),
        ("", ()),
        ("A DOG, a dog and dogs in glasses, buses and skies.", ("dog", "glass", "bus", "sky")),
    ],
)
def test_what_a_caption_names(text: str, found: tuple[str, ...]) -> None:
    assert nouns(text) == found


def test_at_most_so_many() -> None:
    assert len(nouns("dog cat man boy girl bus car tree sky sea lake hill bird")) == 10


def test_members_are_filled_by_their_names() -> None:
    names = ("caption", "description", "alt_text", "altText", "Summary")
    schema = members(**dict.fromkeys(names, TEXTS), title=TEXTS, tags=LISTS, keywords=LISTS)
    assert fill(schema) == {
        **dict.fromkeys(names, TEXT),
        "title": TEXT[:-1],
        "tags": LABELS,
        "keywords": LABELS,
    }


def test_labels_as_objects_by_reference() -> None:
    label = members("name", name=TEXTS, confidence={"type": "number"}, nsfw={"type": "boolean"})
    listed = {"type": "array", "maxItems": 2, "items": {"$ref": "#/$defs/Label"}}
    schema = {**members("labels", labels=listed), "$defs": {"Label": label}}
    expected = [{"name": name, "confidence": 0.52} for name in LABELS[:2]]
    assert fill(schema) == {"labels": expected}


def test_what_a_caption_cannot_know() -> None:
    """It is left out; where it is required, it says nothing."""
    schema = members(
        "mood",
        "people",
        "sure",
        "kind",
        "place",
        "more",
        mood=TEXTS,
        people={"type": "integer"},
        sure={"type": "boolean"},
        kind={"enum": ["indoor", "outdoor"]},
        place={"anyOf": [{"type": "null"}, {"type": "null"}]},
        more=LISTS,
        camera=TEXTS,
    )
    assert fill(schema) == {
        **{"mood": "", "people": 0, "sure": False, "kind": "indoor", "place": None},
        "more": [],
    }


def test_labels_of_a_closed_list() -> None:
    closed = {"type": "array", "items": {"type": "string", "enum": ["cat", "dog", "man"]}}
    named = {"type": "array", "items": members("name", name={"enum": ["beach", "cat"]})}
    assert fill(members(tags=closed, labels=named)) == {
        "tags": ["dog", "man"],
        "labels": [{"name": "beach"}],
    }


def test_limits_and_types_of_other_forms() -> None:
    assert fill(members(caption={"type": ["string", "null"], "maxLength": 12})) == {
        "caption": "Two dogs and"
    }
    assert fill({"type": "string"}) == TEXT
    assert fill(LISTS) == LABELS
    assert fill(members(tags=TEXTS)) == {"tags": ", ".join(LABELS)}
    assert fill(members(result=members(caption={}))) == {"result": {"caption": TEXT}}
    assert fill({"properties": {"confidence": {"type": "number", "minimum": 0.9}}}) == {
        "confidence": 0.9
    }


def test_without_a_schema() -> None:
    answer = json.loads(any_json(SAID))
    assert answer["caption"] == answer["description"] == answer["alt_text"] == TEXT
    assert answer["tags"] == answer["keywords"] == LABELS
    assert answer["labels"][0] == {"name": "dog", "confidence": 0.52, "topicality": 0.52}


def test_schemas_that_explode() -> None:
    layers = {
        f"L{depth}": members(
            *"abcdefghij", **{name: {"$ref": f"#/L{depth + 1}"} for name in "abcdefghij"}
        )
        for depth in range(12)
    }
    ring = {"a": {"$ref": "#/b"}, "b": {"$ref": "#/a"}, "$ref": "#/a"}
    wide = [f"caption{number}" for number in range(19_000)]
    for schema in (
        {**layers, "$ref": "#/L0"},
        ring,
        members(*wide, **dict.fromkeys(wide, TEXTS)),
        members(**{"caption" * 100_000: TEXTS}),
        members("x", x={"const": "y" * 100_000}),
    ):
        began = time.monotonic()
        assert len(filled(schema, SAID)) < 500_000
        assert time.monotonic() - began < 2


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                "type properties items enum const $ref anyOf oneOf required maxLength maxItems "
                "minimum labels caption name x".split()
            ),
            inner | st.sampled_from(["object", "array", "string", "number", "#", "#/properties"]),
            max_size=4,
        )
    ),
    max_leaves=20,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(["type", "properties", "items", "enum", "$ref"]), _JSON))
def test_any_schema_gives_json(schema: dict[str, Any]) -> None:
    json.loads(filled(schema, SAID))
