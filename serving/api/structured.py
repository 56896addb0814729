"""Fills the JSON that a client wants to have, from a caption.

Programs that ask language models for JSON name its members as people would: `description`, `tags`.
Those that a caption can fill are filled. Others are left out or, where the schema requires them,
say nothing: an empty text, 0, false, the first value of an enumeration. That is no statement, but
the only thing that fits the schema.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from serving.api.nouns import nouns

_SENTENCES = frozenset(
    "alt alttext alternativetext answer caption content description detaileddescription details "
    "imagecaption imagedescription longdescription message response result shortdescription "
    "summary text".split()
)
_TITLES = frozenset("headline subject title".split())
_LABELS = frozenset("categories keywords labels objects subjects tags".split())
_NAMES = frozenset("category keyword label name object tag title value".split())
"""Members' names of one label, where labels are objects."""
_SHARES = frozenset("confidence probability score topicality".split())

_MOST_NODES = 2_000
"""Schemas that one answer looks at: references can make few lines into any number of members."""
_DEEPEST = 16
_LONGEST_NAME = 200
"""Most characters of a member's name that is given back."""
_LONGEST = 2_000
"""Most characters of an enumeration's or constant's value that is given back."""


@dataclass(frozen=True)
class Said:
    """What there is to fill with.

    Attributes:
        text: a sentence.
        confidence: in it, 0..1.
        labels: what it names; see `serving.api.nouns`.
    """

    text: str
    confidence: float
    labels: tuple[str, ...]

    @classmethod
    def by(cls, text: str, confidence: float) -> Said:
        """Return what a caption says."""
        return cls(text, round(confidence, 4), nouns(text))

    @property
    def title(self) -> str:
        """The sentence without its full stop."""
        return self.text.rstrip(".")

    def label(self, name: str) -> dict[str, Any]:
        """Return a label as an object; it is as sure, and as much to the point, as the caption."""
        return {"name": name, "confidence": self.confidence, "topicality": self.confidence}


def any_json(said: Said) -> str:
    """Return JSON of no particular schema, with every member that clients are known to look for."""
    return _written(
        {
            "caption": said.text,
            "description": said.text,
            "alt_text": said.text,
            "title": said.title,
            "tags": list(said.labels),
            "keywords": list(said.labels),
            "labels": [said.label(name) for name in said.labels],
        }
    )


def filled(schema: Mapping[str, Any], said: Said) -> str:
    """Return JSON that fits a JSON schema, as far as a caption can fill it.

    Args:
        schema: what of it is not understood, such as patterns, is not kept to.
        said: fills it.
    """
    return _written(_Filling(schema, said).value(schema, "", 0))


def _written(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


class _Filling:
    """One schema being filled."""

    def __init__(self, root: Mapping[str, Any], said: Said) -> None:
        self._root, self._said = root, said
        self._nodes = 0

    def value(self, schema: Any, name: str, depth: int, label: str | None = None) -> Any:
        """Return the value of a member.

        Args:
            schema: of the member.
            name: of the member, as `_plain` has it; empty for the whole.
            depth: how many members it stands in.
            label: the label that it is part of.
        """
        schema = self._resolved(schema)
        self._nodes += 1
        if self._nodes > _MOST_NODES or depth > _DEEPEST:
            return None
        fixed = _fixed(schema)
        if fixed is not None:
            return label if label is not None and name in _NAMES else fixed
        match _kind(schema, name):
            case "object":
                return self._object(schema, depth, label)
            case "array":
                return self._array(schema, name, depth)
            case "string":
                return _cut(self._text(name, label), schema.get("maxLength"))
            case "number" | "integer" as kind:
                share = self._said.confidence if name in _SHARES else 0
                return _bounded(share if kind == "number" else int(share), schema)
            case "boolean":
                return False
        return None

    def _object(self, schema: Mapping[str, Any], depth: int, label: str | None) -> dict[str, Any]:
        members = schema.get("properties")
        required = schema.get("required")
        names = required if isinstance(required, list) else []
        needed = {name for name in names if isinstance(name, str)}
        found: dict[str, Any] = {}
        for name, member in (members if isinstance(members, Mapping) else {}).items():
            self._nodes += 1
            if self._nodes > _MOST_NODES:
                break
            if len(name) > _LONGEST_NAME:
                continue
            if name in needed or self._can_fill(member, _plain(name), label):
                found[name] = self.value(member, _plain(name), depth + 1, label)
        return found

    def _can_fill(self, schema: Any, name: str, label: str | None) -> bool:
        names = _SENTENCES | _TITLES | _LABELS | _SHARES if label is None else _NAMES | _SHARES
        return name in names or _kind(self._resolved(schema), name) == "object"

    def _array(self, schema: Mapping[str, Any], name: str, depth: int) -> list[Any]:
        # The whole may be a list, too: of labels then.
        if name and name not in _LABELS:
            return []
        items, most = self._resolved(schema.get("items")), schema.get("maxItems")
        if _kind(items, "label") not in ("object", "string"):
            return []
        allowed = self._allowed(items)
        labels = [label for label in self._said.labels if allowed is None or label in allowed]
        labels = labels[: most if isinstance(most, int) and most >= 0 else None]
        return [self.value(items, "label", depth + 1, label) for label in labels]

    def _allowed(self, items: Mapping[str, Any]) -> list[Any] | None:
        """Return the labels that a list's elements may have, if the schema names them."""
        members = items.get("properties")
        named = [items, *(self._resolved(one) for one in _named(members))]
        return next((one["enum"] for one in named if isinstance(one.get("enum"), list)), None)

    def _text(self, name: str, label: str | None) -> str:
        if label is not None:
            return label if name in _NAMES else ""
        if name in _TITLES:
            return self._said.title
        if name in _LABELS:
            return ", ".join(self._said.labels)
        return self._said.text if name in _SENTENCES or not name else ""

    def _resolved(self, schema: Any) -> Mapping[str, Any]:
        """Return a schema without reference and alternatives, of which the first that is one."""
        for _ in range(_DEEPEST):
            if not isinstance(schema, Mapping):
                return {}
            self._nodes += 1
            if isinstance(reference := schema.get("$ref"), str):
                schema = self._at(reference)
                continue
            ways = next((schema[way] for way in ("anyOf", "oneOf", "allOf") if way in schema), None)
            if not isinstance(ways, list) or not ways:
                return schema
            ways = ways[:_DEEPEST]
            schema = next((one for one in ways if _kind_of(one) != "null"), ways[0])
        return {}

    def _at(self, reference: str) -> Any:
        place: Any = self._root
        for step in reference[:500].removeprefix("#").strip("/").split("/"):
            if step:
                place = place.get(step) if isinstance(place, Mapping) else None
        return place


def _named(members: Any) -> list[Any]:
    """Return the schemas of those of an object's members that name a label."""
    if not isinstance(members, Mapping):
        return []
    return [schema for name, schema in members.items() if _plain(name) in _NAMES][:_DEEPEST]


def _plain(name: str) -> str:
    """Return a member's name in small letters only: `alt_text` and `altText` are the same."""
    return re.sub(r"[^a-z]", "", name[:100].lower())


def _kind_of(schema: Any) -> Any:
    kind = schema.get("type") if isinstance(schema, Mapping) else None
    if isinstance(kind, list):
        return next((one for one in kind if one != "null"), "null")
    return kind


def _kind(schema: Mapping[str, Any], name: str) -> str:
    """Return a schema's type; what it must be, where the schema does not say."""
    kind = _kind_of(schema)
    if isinstance(kind, str):
        return kind
    if "properties" in schema:
        return "object"
    if "items" in schema or name in _LABELS:
        return "array"
    return "string" if name in _SENTENCES | _TITLES | _NAMES or not name else "null"


def _fixed(schema: Mapping[str, Any]) -> Any:
    """Return the value that a schema names; none where it leaves a choice to us."""
    values = schema.get("enum")
    values = values if isinstance(values, list) and values else [schema.get("const")]
    value = None if None in values else values[0]
    return value if len(json.dumps(value)) <= _LONGEST else None


def _cut(text: str, most: Any) -> str:
    if not isinstance(most, int) or len(text) <= most:
        return text
    words = text[: max(0, most) + 1].rsplit(" ", 1)[0]
    return words[: max(0, most)]


def _bounded(value: float, schema: Mapping[str, Any]) -> float:
    for bound, choose in (("minimum", max), ("maximum", min)):
        limit = schema.get(bound)
        if isinstance(limit, int | float):
            value = choose(value, limit)
    return value
