"""What is asked of which model, without a server; and 503 as it is told here."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.api import metadata
from models.api.options import DecodeDefaults
from models.store import StoredModel
from serving.api.ollama.errors import PREFIX, ollama_errors
from serving.api.ollama.request import ChatRequest, GenerateRequest, caption_options, question
from serving.base.problems import KINDS, Problem
from serving.http.problem_answers import render, shape_errors

HONOURED = frozenset({"temperature", "top_p", "seed", "max_length", "prompt"})
ASK = "Describe this image in one short sentence."


def model(directory: Path, prompt: str | None) -> StoredModel:
    about = metadata.read(directory)
    decode = DecodeDefaults(max_length=24, prompt=prompt)
    about = about.model_copy(update={"decode": decode})
    return StoredModel("m", "1", directory, about)


@pytest.mark.parametrize(
    ("own", "passed"),
    [
        (ASK, True),
        ("What is this?", True),
        (None, False),
        ("<CAPTION>", False),
        ("An image of", False),
    ],
)
def test_prompts_go_to_models_that_answer_them(
    tiny_model: Path, own: str | None, passed: bool
) -> None:
    """Others would begin their captions with them."""
    served = model(tiny_model, own)
    asked = GenerateRequest(prompt="Who is it?", images=["x"])
    options = caption_options(asked, "Who is it?", served, HONOURED)
    assert options.prompt == ("Who is it?" if passed else None)
    # An order for JSON is ours to fulfil, and a longer one than models take is none for them.
    asked.format = "json"
    assert caption_options(asked, "Who is it?", served, HONOURED).prompt is None
    assert caption_options(GenerateRequest(), "x" * 501, served, HONOURED).prompt is None


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"temperature": 0.8, "top_p": 0.9}, {}),
        ({"temperature": 0.8, "top_p": 0.9, "seed": -1}, {}),
        ({"temperature": 0, "seed": 7}, {}),
        ({"temperature": 9, "seed": 7.0}, {"temperature": 5.0, "seed": 7}),
        ({"temperature": 1e-9, "seed": 2**63 + 5}, {"temperature": 0.01, "seed": 5}),
        ({"temperature": 1, "seed": 7, "top_p": 0.9}, {"temperature": 1, "seed": 7, "top_p": 0.9}),
        ({"num_predict": 2}, {"max_length": 4}),
        ({"num_predict": 12.0}, {"max_length": 12}),
        ({"num_predict": 24}, {}),
        ({"num_predict": -2}, {}),
    ],
)
def test_options(tiny_model: Path, options: dict[str, float], expected: dict[str, float]) -> None:
    served, asked = model(tiny_model, None), GenerateRequest(options=options)
    assert caption_options(asked, "", served, HONOURED).asked() == expected
    assert caption_options(asked, "", served, frozenset()).asked() == {}


def test_no_question_and_questions() -> None:
    assert question(GenerateRequest(prompt=" ", images=[])) is None
    assert question(ChatRequest(messages=[])) is None
    assert question(ChatRequest.model_validate({"messages": [{"role": "user"}]})) == ("", None)


@pytest.mark.parametrize("slug", KINDS)
def test_no_status_but_those_that_its_clients_know(slug: str) -> None:
    shape_errors(PREFIX, ollama_errors)
    answer = render(Problem(slug), {"type": "http", "path": "/api/chat", "headers": []})
    status = {415: 400, 422: 400, 503: 429}.get(KINDS[slug].status, KINDS[slug].status)
    assert answer.status_code == status
    assert status != 429 or int(answer.headers["retry-after"]) > 0
