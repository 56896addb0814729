"""BentoML's own clients have all four APIs and can call them; a request's fields are parameters."""

from __future__ import annotations

import base64
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bentoml
import pytest
from bentoml.exceptions import BentoMLException

from models.api.options import CaptionOptions
from serving.base.problems import Problem
from serving.bento.apis import typed_api
from serving.contract.requests import CaptionInput, MatchInput
from serving.contract.schemas import ModelsResponse
from tests.asking import PICTURE
from tests.drawings import caption_of, draw, encode
from tests.server import Server

DATA_URL = "data:image/png;base64," + base64.b64encode(PICTURE).decode()


@pytest.fixture(scope="module")
def bento(matching_server: Server) -> Iterator[bentoml.SyncHTTPClient]:
    with bentoml.SyncHTTPClient(matching_server.url, timeout=60) as client:
        yield client


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "ring.png"
    path.write_bytes(PICTURE)
    return path


def texts_of(answer: dict[str, Any]) -> list[str]:
    return [caption["text"] for caption in answer["captions"]]


def test_caption(bento: Any, picture: Path) -> None:
    answer = bento.caption(image=picture, num_beams=2, id="7", model="compact", prompt=None)
    assert texts_of(answer) == [caption_of("red ring")] and answer["id"] == "7"
    # Each kind of option comes as it was meant, though the client writes them all as JSON.
    options = {"length_penalty": 0.5, "attention": True, "rerank": False}
    answer = bento.caption(image=picture, num_captions=3, **options)
    assert len(answer["captions"]) == 3 and "words" in answer["captions"][0]


def test_caption_url(bento: Any) -> None:
    answer = bento.caption_url(url=DATA_URL, num_captions=2, id="far", seed=None)
    assert texts_of(answer)[0] == caption_of("red ring") and len(answer["captions"]) == 2
    assert answer["id"] == "far" and answer["timing_ms"]["fetch"] >= 0


def test_caption_batch(bento: Any, picture: Path, tmp_path: Path) -> None:
    other, broken = tmp_path / "bar.png", tmp_path / "broken.png"
    other.write_bytes(encode(draw("red bar")))
    broken.write_bytes(PICTURE[:-40])
    answer = bento.caption_batch(images=[picture, broken, other], num_beams=2, id="album")
    first, second, third = answer["results"]
    assert texts_of(first) == [caption_of("red ring")] and texts_of(third) == [
        caption_of("red bar")
    ]
    assert "error" in second, answer
    assert second["error"]["type"] == "/problems/broken-image"
    assert first["id"] == third["id"] == "album"
    (alone,) = bento.caption_batch(images=[picture])["results"]
    assert texts_of(alone) == [caption_of("red ring")]


def test_match(bento: Any, picture: Path) -> None:
    texts = ["a ring", 'a "dog", quoted', "[1, 2]"]
    answer = bento.match(image=picture, texts=texts, model="bridgetower", id="m")
    assert sorted(one["text"] for one in answer["matches"]) == sorted(texts)
    assert answer["id"] == "m"
    (only,) = bento.match(image=picture, texts=["null"])["matches"]
    assert only["text"] == "null"


@pytest.mark.parametrize(
    ("call", "fields", "said"),
    [
        ("caption", {"num_beams": 99}, "less than or equal to 8"),
        ("caption", {"top_p": 0.5}, "give temperature as well"),
        ("caption", {"model": "gpt-9"}, "No model 'gpt-9' is served"),
        ("caption", {"id": "x" * 201}, "at most 200 characters"),
        ("caption_url", {"num_beams": 99}, "less than or equal to 8"),
        ("caption_url", {"num_beams": "2"}, "should be a valid integer"),
        ("caption_batch", {"num_captions": 0}, "greater than or equal to 1"),
        ("match", {"texts": ["a", " "]}, "text 2 is empty"),
        ("match", {"texts": ["a"] * 33}, "at most 32 texts, got 33"),
        ("match", {"texts": []}, "required: 1 to 32 texts"),
    ],
)
def test_what_is_wrong_is_said_as_to_others(
    bento: Any, picture: Path, call: str, fields: dict[str, Any], said: str
) -> None:
    needed: dict[str, Any] = {
        "caption": {"image": picture},
        "caption_url": {"url": DATA_URL},
        "caption_batch": {"images": [picture, picture]},
        "match": {"image": picture, "texts": ["a"]},
    }
    with pytest.raises(BentoMLException) as refused:
        getattr(bento, call)(**{**needed[call], **fields})
    assert said in str(refused.value) and "/problems/" in str(refused.value)


def test_the_client_itself_knows_the_parameters(bento: Any, picture: Path) -> None:
    with pytest.raises(TypeError, match="beams"):
        bento.caption(image=picture, beams=3)
    with pytest.raises(TypeError, match="texts"):
        bento.match(image=picture)


# --- within the process ---------------------------------------------------------------------------


class Service:
    """Stands for the service's class."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    @typed_api
    async def caption(self, asked: CaptionInput) -> ModelsResponse:
        """Answer."""
        self.asked.append(asked)
        return ModelsResponse(data=[])

    @typed_api
    async def match(self, asked: MatchInput) -> ModelsResponse:
        """Answer."""
        self.asked.append(asked)
        return ModelsResponse(data=[])


def test_parameters_are_the_requests_fields() -> None:
    api: Any = vars(Service)["caption"]
    assert (api.name, api.route, api.doc) == ("caption", "/caption", "Answer.")
    _, *parameters = inspect.signature(api.func).parameters.values()
    assert [one.name for one in parameters] == [
        "image",
        *CaptionOptions.model_fields,
        "model",
        "id",
    ]
    assert all(one.kind is one.KEYWORD_ONLY for one in parameters)
    assert not any(one.annotation in (Any, one.empty) for one in parameters)
    assert [one.name for one in parameters if one.default is one.empty] == ["image"]


async def call(name: str, **fields: Any) -> Any:
    service = Service()
    await getattr(service, name)(**fields)
    (asked,) = service.asked
    return asked


@pytest.mark.anyio
async def test_files_are_read_and_fields_checked(picture: Path) -> None:
    asked = await call("caption", image=picture, num_beams=2)
    assert (asked.image, asked.num_beams, asked.model) == (PICTURE, 2, None)
    asked = await call("match", image=picture, texts=["a"])
    assert (asked.image, asked.texts) == (PICTURE, ["a"])
    for wrong in ({"num_beams": 99}, {"top_p": 0.5}, {"beams": 1}):
        with pytest.raises(Problem) as refused:
            await call("caption", image=picture, **wrong)
        assert refused.value.status == 422
    with pytest.raises(Problem, match="text 1 is empty"):
        await call("match", image=picture, texts=[" "])


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
