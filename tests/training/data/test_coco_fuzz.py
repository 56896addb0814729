"""Whatever an annotation file holds: it is read, or refused in one line that names it."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.api.preprocessing import PreprocessSpec
from models.captioners.cnn_transformer.tokenizer import CaptionTokenizer
from training.data.coco import CaptionData, CaptionedImage, DataError, read_coco, read_karpathy
from training.data.image_cache import ImageCache
from training.data.pictures import without_unreadable

COCO = {
    "info": {"year": 2017},
    "images": [
        {"id": 7, "file_name": "b.jpg", "height": 4},
        {"id": 3, "file_name": "a.jpg"},
    ],
    "annotations": [
        {"id": 1, "image_id": 7, "caption": "A dog."},
        {"id": 2, "image_id": 3, "caption": "Straße"},
        {"id": 3, "image_id": 7, "caption": ""},
    ],
}
KARPATHY = {
    "dataset": "coco",
    "images": [
        {
            "imgid": 0,
            "split": "train",
            "filename": "a.jpg",
            "filepath": "val2014",
            "sentences": [{"raw": "A dog.", "tokens": ["a", "dog"]}],
        },
        {"imgid": 1, "split": "val", "filename": "b.jpg", "sentences": [{"raw": "A cat."}]},
    ],
}

# Surrogates too: JSON can spell what UTF-8 cannot.
TEXT = st.text(st.characters(), max_size=8)
NAMES = st.sampled_from(
    "id image_id caption file_name images annotations imgid split filename filepath sentences raw "
    "categories".split()
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | TEXT, inner, max_size=4),
    max_leaves=20,
)

Reader = Callable[[Path], tuple[CaptionedImage, ...]]


def coco(path: Path) -> tuple[CaptionedImage, ...]:
    return read_coco(path, [path.parent])


def karpathy(path: Path) -> tuple[CaptionedImage, ...]:
    return read_karpathy(path, "train")


FORMATS = [pytest.param(coco, COCO, id="coco"), pytest.param(karpathy, KARPATHY, id="karpathy")]

fuzzed = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None
)


def read_or_refuse(read: Reader, path: Path, content: bytes) -> None:
    path.write_bytes(content)
    try:
        images = read(path)
    except DataError as error:
        assert "fuzz.json" in str(error)
        assert "\n" not in str(error)
        str(error).encode()
        return
    assert images
    assert len({image.image_id for image in images}) == len(images)
    captions = [text for image in images for text in image.references]
    assert all(image.references for image in images)
    assert all(text == " ".join(text.split()) != "" for text in captions)
    # What was read does for everything that comes after.
    CaptionTokenizer.train([*captions, "a word"]).encode(captions[0])
    data = CaptionData("fuzz", images)
    ImageCache(path.parent / "cache", data, PreprocessSpec(height=16, width=16))
    without_unreadable(data, 1.0)


@pytest.mark.parametrize(("read", "_"), FORMATS)
@fuzzed
@given(content=JSON)
def test_any_json(tmp_path: Path, read: Reader, _: Any, content: Any) -> None:
    read_or_refuse(read, tmp_path / "fuzz.json", json.dumps(content).encode())


@st.composite
def places(draw: st.DrawFn, content: Any) -> list[Any]:
    """Draw a way into nested JSON: keys and indices."""
    way: list[Any] = []
    while isinstance(content, (dict, list)) and content and (not way or draw(st.booleans())):
        step = draw(st.sampled_from(sorted(content) if isinstance(content, dict) else [0, -1]))
        way.append(step)
        content = content[step]
    return way


@pytest.mark.parametrize(("read", "whole"), FORMATS)
@fuzzed
@given(drawn=st.data())
def test_one_thing_wrong(tmp_path: Path, read: Reader, whole: Any, drawn: st.DataObject) -> None:
    content = copy.deepcopy(whole)
    *way, last = drawn.draw(places(whole), label="way")
    target = content
    for step in way:
        target = target[step]
    kind = drawn.draw(st.sampled_from(["replace", "delete", "repeat"]))
    if kind == "replace":
        target[last] = drawn.draw(JSON, label="value")
    elif kind == "delete":
        del target[last]
    elif isinstance(target, list):
        target.append(copy.deepcopy(target[last]))
    read_or_refuse(read, tmp_path / "fuzz.json", json.dumps(content).encode())


@pytest.mark.parametrize(("read", "whole"), FORMATS)
@fuzzed
@given(
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"]),
    cut=st.integers(0, 500),
    at=st.integers(0, 500),
    junk=st.binary(max_size=4),
)
def test_damaged_bytes(
    tmp_path: Path, read: Reader, whole: Any, encoding: str, cut: int, at: int, junk: bytes
) -> None:
    content = json.dumps(whole, ensure_ascii=False).encode(encoding)
    content = content[: len(content) - cut] if cut < 100 else content
    content = content[:at] + junk + content[at + len(junk) :]
    read_or_refuse(read, tmp_path / "fuzz.json", content)
