"""`/api/` with the real `ollama` package: captions, streams, options, formats, models, errors."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import ollama
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import BaseModel

from serving.api.bodies import MOST_MEMBERS
from serving.api.talking import NOT_A_PICTURE
from tests.asking import PICTURE
from tests.drawings import NAMES, caption_of, draw, encode
from tests.faults import RAISING, SLOW, SLOW_SECONDS
from tests.locked import ANNA, STRANGER, bearer
from tests.server import Server

RING = caption_of("red ring")
BARE = base64.b64encode(PICTURE).decode()
ENDED = {"total_duration", "load_duration", "prompt_eval_duration", "eval_duration"}


@pytest.fixture
def ai(server: Server) -> ollama.Client:
    return ollama.Client(server.url)


def plain(colour: tuple[int, int, int]) -> bytes:
    return encode(Image.new("RGB", (64, 64), colour))


def told(*images: bytes | str, content: str = "Describe this.") -> dict[str, Any]:
    return {"role": "user", "content": content, "images": list(images)}


# --- captions ------------------------------------------------------------------------------------


def test_generate(ai: ollama.Client) -> None:
    answer = ai.generate("compact", "Describe this.", images=[PICTURE])
    assert (answer.response, answer.done, answer.done_reason) == (RING, True, "stop")
    assert answer.model == "compact" and answer.created_at and answer.created_at.endswith("Z")
    assert answer.eval_count == 6
    assert (answer.total_duration or 0) > (answer.eval_duration or 0) > 10_000  # nanoseconds


def test_chat(ai: ollama.Client) -> None:
    for name in NAMES[:3]:
        answer = ai.chat("compact:latest", [told(encode(draw(name)))])
        assert answer.message.content == caption_of(name)
        assert (answer.message.role, answer.done_reason) == ("assistant", "stop")
        assert answer.model == "compact:latest"


def test_streams(ai: ollama.Client) -> None:
    first, last = ai.generate("compact", images=[PICTURE], stream=True)
    assert (first.response, first.done, first.done_reason) == (RING, False, None)
    assert (last.response, last.done, last.done_reason) == ("", True, "stop")
    chunks = list(ai.chat("compact", [told(PICTURE)], stream=True))
    assert "".join(chunk.message.content or "" for chunk in chunks) == RING
    assert [chunk.done for chunk in chunks] == [False, True]


def test_a_stream_is_the_default(client: httpx.Client) -> None:
    answer = client.post("/api/generate", json={"model": "compact", "images": [BARE]})
    assert answer.headers["content-type"] == "application/x-ndjson"
    first, last = map(json.loads, answer.text.splitlines())
    assert first["response"] == RING and not first["done"] and not ENDED & first.keys()
    assert last["done"] and last.keys() >= ENDED | {"result"}
    assert all(isinstance(last[name], int) for name in ENDED)


def test_asynchronous(server: Server) -> None:
    async def ask() -> None:
        ai = ollama.AsyncClient(server.url)
        answers = await asyncio.gather(
            *(ai.chat("compact", [told(encode(draw(name)))]) for name in NAMES[:3])
        )
        assert [one.message.content for one in answers] == [caption_of(one) for one in NAMES[:3]]
        parts = [one async for one in await ai.generate("compact", images=[PICTURE], stream=True)]
        assert [one.response for one in parts] == [RING, ""]
        assert len((await ai.list()).models) == len((await ai.ps()).models) == 1

    asyncio.run(ask())


@pytest.mark.parametrize(
    "image",
    [
        BARE,
        f"data:image/png;base64,{BARE}",
        "\r\n".join(BARE[start : start + 76] for start in range(0, len(BARE), 76)),
        BARE.rstrip("="),
        BARE.replace("+", "-").replace("/", "_"),
    ],
    ids=["bare", "data", "lines", "unpadded", "for URLs"],
)
def test_base64_as_programs_write_it(client: httpx.Client, image: str) -> None:
    answer = client.post("/api/generate", json={"images": [image], "stream": False})
    assert answer.json()["response"] == RING


def test_the_newest_picture_of_a_conversation(ai: ollama.Client) -> None:
    bar, cross = encode(draw("blue bar")), encode(draw("gold cross"))
    talk = [
        {"role": "system", "content": "Be brief."},
        told(cross),
        {"role": "assistant", "content": "A gold cross."},
        told(bar, cross),
        {"role": "tool", "content": "nothing"},
    ]
    assert ai.chat("compact", talk).message.content == caption_of("blue bar")
    # What is asked about it later is about the same picture.
    talk.append({"role": "user", "content": "What else?"})
    assert ai.chat("compact", talk).message.content == caption_of("blue bar")


def test_text_only(ai: ollama.Client) -> None:
    assert ai.generate("compact", "Hi").response == NOT_A_PICTURE
    answer = ai.chat("compact", [{"role": "user", "content": "Hi"}], format="json")
    assert json.loads(answer.message.content or "")["title"] == NOT_A_PICTURE.rstrip(".")


def test_nothing_loads(ai: ollama.Client, client: httpx.Client) -> None:
    answer = ai.generate("compact", keep_alive=0)
    assert (answer.response, answer.done, answer.done_reason) == ("", True, "load")
    assert ai.chat("compact", []).done_reason == "load"
    assert len(client.post("/api/generate", json={"model": "compact"}).text.splitlines()) == 1


# --- options and formats --------------------------------------------------------------------------


def test_options_that_clients_always_send_read_well(ai: ollama.Client) -> None:
    usual = {
        "temperature": 0.8,
        "top_p": 0.9,
        "top_k": 40,
        "num_ctx": 4096,
        "seed": 0,
        "stop": ["."],
    }
    for more in ({}, {"temperature": 2}, {"num_predict": 300}, {"num_predict": -1}):
        answer = ai.generate("compact", images=[PICTURE], options={**usual, **more})
        assert answer.response == RING


def test_a_seed_samples_and_repeats(ai: ollama.Client) -> None:
    def ask(seed: int) -> str:
        options = {"temperature": 5.0, "seed": seed, "top_p": 1.0}
        return ai.generate("compact", images=[PICTURE], options=options).response

    first = [ask(seed) for seed in range(1, 9)]
    assert len(set(first)) > 1
    assert [ask(seed) for seed in range(1, 9)] == first


def test_num_predict_is_a_limit(ai: ollama.Client) -> None:
    answer = ai.generate("compact", images=[PICTURE], options={"num_predict": 4})
    assert answer.done_reason == "length" and answer.response != RING


def test_what_has_no_effect(client: httpx.Client) -> None:
    asked = {
        **{"model": "", "images": [BARE], "stream": False, "think": "high", "keep_alive": "5m"},
        **{"tools": [{"type": "function"}], "suffix": None, "raw": True, "context": [1], "x": {}},
        **{"format": "", "options": {"temperature": None, "mirostat": "y"}, "prompt": None},
    }
    # As curl sends it where nothing is said of the body.
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = client.post("/api/generate", content=json.dumps(asked), headers=kind)
    assert answer.json()["response"] == RING
    assert answer.json()["model"] == "compact:latest"


class Label(BaseModel):
    name: str
    confidence: float


class About(BaseModel):
    description: str
    alt_text: str
    tags: list[str]
    labels: list[Label]
    people: int = 0


def test_a_schema_is_filled(ai: ollama.Client) -> None:
    answer = ai.chat("compact", [told(PICTURE)], format=About.model_json_schema())
    about = About.model_validate_json(answer.message.content or "")
    assert about.description == about.alt_text == RING
    assert about.tags == ["ring", "paper"] == [label.name for label in about.labels]
    assert 0 < about.labels[0].confidence <= 1


# --- models --------------------------------------------------------------------------------------


def test_models(ai: ollama.Client) -> None:
    (listed,), (running,) = ai.list().models, ai.ps().models
    assert listed.model == running.model == "compact:latest"
    assert listed.size and listed.size > 1000 and listed.digest == running.digest
    assert listed.details and listed.details.family == "compact" and listed.modified_at
    for name in ("compact", "compact:latest", "compact:test"):
        shown = ai.show(name)
        assert shown.capabilities == ["completion", "vision"]
        assert shown.modelinfo and shown.modelinfo["general.parameter_count"] > 0


def test_a_matcher_is_no_model_here(matching_client: httpx.Client) -> None:
    (model,) = matching_client.get("/api/tags").json()["models"]
    assert model["name"] == "compact:latest"
    assert matching_client.post("/api/show", json={"name": "bridgetower"}).status_code == 404


def test_several_models(several_server: Server) -> None:
    ai = ollama.Client(several_server.url)
    assert [model.model for model in ai.list().models] == ["compact:latest", "vit-gpt2:latest"]
    assert ai.generate("vit-gpt2:latest", images=[PICTURE]).done_reason in ("stop", "length")


@pytest.mark.parametrize("accept", ["*/*", "application/json", "", "text/plain"])
def test_it_runs(client: httpx.Client, accept: str) -> None:
    answer = client.get("/", headers={"Accept": accept})
    assert (answer.status_code, answer.text) == (200, "Ollama is running")
    assert client.head("/", headers={"Accept": accept}).status_code == 200
    assert client.get("/api/version").json()["version"].count(".") == 2


def test_browsers_get_the_page(client: httpx.Client) -> None:
    accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    assert "<html" in client.get("/", headers={"Accept": accept}).text


# --- errors --------------------------------------------------------------------------------------


def check(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.json().keys() == {"error"}
    return str(answer.json()["error"])


def test_an_unknown_model(ai: ollama.Client) -> None:
    for ask in (ai.show, lambda name: ai.generate(name, "Hi"), lambda name: ai.chat(name, [])):
        with pytest.raises(ollama.ResponseError, match="'llava:7b' not found") as raised:
            ask("llava:7b")
        assert raised.value.status_code == 404


@pytest.mark.parametrize(
    "asked",
    [
        *({"images": ["%%"]}, {"images": [""]}, {"images": [BARE[:200]]}, {"images": "x"}),
        *({"format": "xml"}, {"format": 3}, {"options": {"temperature": "hot"}}, {"options": []}),
        *([], "x", {"prompt": 3}, {"images": ["aGVsbG8="]}, {"options": {"seed": True}}),
    ],
)
def test_faults_of_requests(client: httpx.Client, asked: Any) -> None:
    if isinstance(asked, dict):
        asked = {"images": [BARE], **asked}
    assert check(client.post("/api/generate", json=asked), 400)


def test_faults_of_any_request(client: httpx.Client) -> None:
    check(client.post("/api/chat", content=b"{"), 400)
    check(client.post("/api/chat", json={"messages": [1]}), 400)
    check(client.post("/api/chat", json={"x": [0] * (MOST_MEMBERS + 1)}), 400)
    check(client.get("/api/generate"), 405)
    check(client.post("/api/pull", json={}), 404)
    check(client.post("/api/generate", json={"images": ["http://127.0.0.1/x.png"]}), 403)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["", BARE, "json"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from("role content images temperature seed top_p num_predict type".split()),
            inner | st.just("user"),
            max_size=3,
        )
    ),
    max_leaves=8,
)
_NAMES = "model name prompt images messages format options stream think keep_alive".split()


@pytest.mark.parametrize("path", ["/api/generate", "/api/chat", "/api/show"])
def test_any_json_has_an_answer(server: Server, path: str) -> None:
    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.dictionaries(st.sampled_from(_NAMES), _VALUES, max_size=4))
    def ask(asked: dict[str, Any]) -> None:
        answer = client.post(path, content=json.dumps(asked))
        if answer.status_code != 200:
            assert answer.status_code in (400, 404)
            check(answer, answer.status_code)

    with httpx.Client(base_url=server.url, timeout=30) as client:
        ask()


def test_keys(locked_server: Server) -> None:
    with httpx.Client(base_url=locked_server.url) as client:
        answer = client.get("/api/tags")
        assert "API key" in check(answer, 401) and answer.headers["www-authenticate"] == "Bearer"
        check(client.post("/api/chat", json={}, headers=bearer(STRANGER)), 401)
        assert client.get("/", headers={"Accept": "*/*"}).text == "Ollama is running"
        check(client.post("/api/chat", content=b"x" * 2_000_000, headers=bearer(ANNA)), 413)
    ai = ollama.Client(locked_server.url, headers=bearer(ANNA))
    assert ai.generate("compact", images=[PICTURE]).response == RING


@pytest.fixture
def tight(tight_server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=tight_server.url, timeout=30) as client:
        yield client


def test_a_fault_of_the_server(tight: httpx.Client) -> None:
    picture = base64.b64encode(plain(RAISING)).decode()
    assert "failed" in check(tight.post("/api/generate", json={"images": [picture]}), 500)


def test_too_many(tight: httpx.Client) -> None:
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(tight.post, "/caption", files={"image": plain(SLOW)})
        time.sleep(SLOW_SECONDS / 2)
        answer = tight.post("/api/generate", json={"images": [BARE]})
        check(answer, 429)
        assert int(answer.headers["retry-after"]) > 0
        assert first.result().status_code == 200
