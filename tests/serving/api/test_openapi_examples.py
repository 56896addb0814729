"""Every operation of the OpenAPI document shows what a good answer looks like."""

from __future__ import annotations

from typing import Any

import pytest

from serving.api.openai import schemas as chat_schemas
from serving.api.openai.responses import schemas as responses_schemas
from serving.app import create_app
from serving.base.settings import Settings
from serving.contract import schemas

DOCUMENT = create_app(Settings(matcher="bridgetower")).openapi()
OPERATIONS = [
    pytest.param(operation, id=f"{method} {path}")
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_good_answer_has_an_example_that_fits_it(operation: dict[str, Any]) -> None:
    for content in operation["responses"]["200"]["content"].values():
        schema = content["schema"]
        if "$ref" not in schema:
            examples = [content["example"]] if "example" in content else content["examples"]
            assert examples
            continue
        name = schema["$ref"].rpartition("/")[2]
        model = next(
            getattr(module, name)
            for module in (schemas, chat_schemas, responses_schemas)
            if hasattr(module, name)
        )
        shown = [DOCUMENT["components"]["schemas"][name]["example"]]
        shown += [one["value"] for one in content.get("examples", {}).values()]
        for example in shown:
            told = model.model_validate(example).model_dump(mode="json", exclude_none=True)
            # Nothing in it that answers do not have, nothing left out that they do.
            assert told == example


def test_rerank_is_shown_where_there_is_a_matcher() -> None:
    for path in ("/caption", "/caption_url"):
        content = DOCUMENT["paths"][path]["post"]["responses"]["200"]["content"]
        example = content["application/json"]["examples"]["rerank"]["value"]
        scores = [caption["match_score"] for caption in example["captions"]]
        assert scores == sorted(scores, reverse=True)
        assert "confidence" in example["captions"][0] and example["matcher"]
    assert "match_score" not in str(
        create_app(Settings()).openapi()["paths"]["/caption"]["post"]["responses"]
    )
