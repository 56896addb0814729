"""The tables in docs/ that are made from the code, and the command that writes them.

    python -m tests.docs.tables

A table stands between ``<!-- made by `make docs`: NAME -->`` and `<!-- end -->`. `make docs` writes
all of them anew; `test_tables` fails where one has fallen behind.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from models.hub.known_models import KNOWN_MODELS
from serving.api.openai.responses import schemas as responses_schemas
from serving.api.openai.responses.schemas import ResponsesRequest
from serving.api.openai.schemas import EXTENSIONS, IGNORED, REFUSED, ChatRequest
from serving.app import create_app
from serving.base.problems import KINDS, TYPE_PREFIX
from serving.base.settings import PREFIX, Settings
from tests.docs.pages import PAGES, name, read

logger = logging.getLogger("docs")

DOCUMENT = create_app(Settings(matcher="bridgetower")).openapi()
"""The OpenAPI document of a server that has everything."""

COMPUTED = {"decode_workers", "engine_workers", "threads"}
"""Settings whose default depends on the machine."""

_WORDS = {
    "messages": "The picture and what is asked, as above.",
    "text": "`format`: `json_object` or `json_schema`, as `response_format` of chat completions.",
    "stream_options": "`include_usage`: the stream ends with a chunk that has the usage counts.",
}
"""What fields mean that the document describes part by part."""

_ANY_TYPE = {"stop": "a text or a list of texts", "input": "a text or a list"}
"""What the values of fields are that the document has no single type for."""

_MOST_SHOWN = 2**53
"""A limit beyond this is none that anyone meets."""

_PLACE = re.compile(r"<!-- made by `make docs`: (\S+) -->\n(.*?)<!-- end -->", re.DOTALL)


def form_fields(path: str) -> dict[str, dict[str, Any]]:
    """Return the schemas of the fields that a route's body has, by name."""
    (content,) = DOCUMENT["paths"][path]["post"]["requestBody"]["content"].values()
    fields: dict[str, dict[str, Any]] = content["schema"]["properties"]
    return fields


def routes() -> str:
    """Return the table of routes."""
    rows = (
        (f"`{method.upper()} {path}`", operation["summary"])
        for path, item in DOCUMENT["paths"].items()
        for method, operation in item.items()
    )
    return _table(("route", "what it does"), rows)


def options() -> str:
    """Return the table of the fields of `POST /caption`, but for the picture."""
    return _fields(form_fields("/caption"), but=("image",))


def answer() -> str:
    """Return what an answer to `POST /caption` looks like."""
    example = DOCUMENT["components"]["schemas"]["CaptionResponse"]["example"]
    return f"```json\n{json.dumps(example, indent=2)}\n```\n"


def problems() -> str:
    """Return the table of kinds of problems, by status."""
    kinds = sorted(KINDS.items(), key=lambda item: item[1].status)
    rows = ((str(kind.status), f"`{TYPE_PREFIX}{slug}`", kind.advice) for slug, kind in kinds)
    return _table(("status", "`type`", "meaning"), rows)


def settings() -> str:
    """Return the table of settings."""
    rows = (
        (f"`{PREFIX}{field.upper()}`", _default(field), about.description or "")
        for field, about in Settings.model_fields.items()
    )
    return _table(("variable", "default", "meaning"), rows)


def chat() -> str:
    """Return the table of the parameters of chat completions that are honoured."""
    fields = form_fields("/v1/chat/completions")
    return _fields({field: fields[field] for field in ChatRequest.model_fields})


def chat_ignored() -> str:
    """Return the parameters of chat completions without effect."""
    return _names((*IGNORED, *EXTENSIONS))


def chat_refused() -> str:
    """Return the table of the parameters of chat completions that are refused."""
    return _refused(REFUSED)


def responses() -> str:
    """Return the table of the parameters of responses that are honoured."""
    fields = form_fields("/v1/responses")
    return _fields({field: fields[field] for field in ResponsesRequest.model_fields})


def responses_ignored() -> str:
    """Return the parameters of responses without effect."""
    return _names((*responses_schemas.IGNORED, *EXTENSIONS))


def responses_refused() -> str:
    """Return the table of the parameters of responses that are refused."""
    return _refused(responses_schemas.REFUSED)


def _names(parameters: Iterable[str]) -> str:
    return ", ".join(f"`{parameter}`" for parameter in parameters) + "\n"


def _refused(parameters: Mapping[str, Iterable[Any]]) -> str:
    rows = (
        (f"`{parameter}`", ", ".join(f"`{json.dumps(value)}`" for value in (None, *harmless)))
        for parameter, harmless in parameters.items()
    )
    return _table(("parameter", "asks for nothing"), rows)


def known() -> str:
    """Return the table of the hub's models that can be had by name."""
    rows = (
        (
            f"`{model.name}`" + "".join(f", `{alias}`" for alias in model.aliases),
            f"`{model.hub_id}`",
            f"{model.parameters} M",
            f"{model.memory_mb() / 1000:.1f} GB",
            "" if model.cider is None else f"{model.cider:.1f} ({model.cider_source})",
            model.licence + ("" if model.terms == "open" else f", **{model.terms}**"),
            model.good_at,
            model.verified or "nobody yet",
        )
        for model in KNOWN_MODELS
    )
    head = ("name", "on the hub", "weights", "in float32", "COCO CIDEr, published", "licence")
    return _table((*head, "good at", "verified by"), rows)


TABLES: dict[str, Callable[[], str]] = {
    "routes": routes,
    "options": options,
    "answer": answer,
    "problems": problems,
    "settings": settings,
    "chat": chat,
    "chat-ignored": chat_ignored,
    "chat-refused": chat_refused,
    "responses": responses,
    "responses-ignored": responses_ignored,
    "responses-refused": responses_refused,
    "known": known,
}
"""What can be written for each name."""


def places(page: Path) -> dict[str, str]:
    """Return the tables that a page has, by name, as they stand there."""
    return {table: text.strip("\n") for table, text in _PLACE.findall(read(page))}


def renewed(page: Path) -> str:
    """Return a page's text with its tables made anew."""

    def renew(found: re.Match[str]) -> str:
        beginning = found[0].partition("\n")[0]
        return f"{beginning}\n\n{TABLES[found[1]]()}\n<!-- end -->"

    return _PLACE.sub(renew, read(page))


def _fields(fields: Mapping[str, Mapping[str, Any]], but: Iterable[str] = ()) -> str:
    rows = (
        (f"`{field}`", _values(field, schema), schema.get("description") or _WORDS[field])
        for field, schema in fields.items()
        if field not in but
    )
    return _table(("field", "values", "meaning"), rows)


def _values(field: str, schema: Mapping[str, Any]) -> str:
    """Return what a field's schema allows, in words."""
    if "anyOf" in schema:
        schema = next(one for one in schema["anyOf"] if one.get("type") != "null")
    if field in _ANY_TYPE:
        return _ANY_TYPE[field]
    if field == "model":  # an enumeration of what this server has
        return "a served model"
    if schema.get("type") == "boolean":
        return "true, false"
    if schema.get("type") == "string":
        return (
            f"text, at most {schema['maxLength']} characters" if "maxLength" in schema else "text"
        )
    if schema.get("type") == "array":
        return f"{schema['minItems']} to {schema['maxItems']}"
    if schema.get("type") in ("integer", "number"):
        return _range(schema)
    return "an object"


def _range(schema: Mapping[str, Any]) -> str:
    kind = "whole number" if schema["type"] == "integer" else "number"
    least, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    most = schema.get("maximum", _MOST_SHOWN)
    if most >= _MOST_SHOWN:
        return kind if least is None else f"{kind} from {least:g}"
    return f"above {above:g}, at most {most:g}" if least is None else f"{least:g} to {most:g}"


def _default(field: str) -> str:
    default = Settings.model_fields[field].default
    if field in COMPUTED:
        return "automatic"
    if isinstance(default, tuple):
        default = ",".join(map(str, default))
    return "none" if default in (None, "") else f"`{default}`"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    first, *others = (f"| {' | '.join(cells)} |\n" for cells in (head, *rows))
    return "".join([first, "|---" * len(head) + "|\n", *others])


def main() -> int:
    """Write every table anew; return the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for page in PAGES:
        text = renewed(page)
        if text != read(page):
            page.write_text(text, encoding="utf-8")
            logger.info("%s has changed", name(page))
    return 0


if __name__ == "__main__":
    sys.exit(main())
