"""`python -m models verify`: ours beside transformers' own processor and `generate()`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import models.api.metadata as metadata_module
from models.hub.import_model import prepare
from models.hub.samples import draw_samples
from models.hub.verify import verify
from models.store import StoredModel
from tests.checkpoints import write_vit_gpt2
from tests.hub import Hub, Repository, running
from tests.matchers import make_hub_bridgetower
from tests.models.captioners.vlm.families import MAKERS


def make_florence2(directory: Path) -> None:
    """Write a tiny Florence-2 whose tokenizer names the image's token, as published ones do."""
    MAKERS["florence2"](directory)
    path = directory / "tokenizer_config.json"
    content = json.loads(path.read_text())
    content["extra_special_tokens"] = {"image_token": "<image>"}
    content["model_specific_special_tokens"] = {"image_token": "<image>"}
    path.write_text(json.dumps(content))


COMPARED: dict[str, Callable[[Path], object]] = {
    "vit-gpt2": write_vit_gpt2,
    "florence2": make_florence2,
    **{name: MAKERS[name] for name in ("blip", "git", "paligemma")},
}
"""Checkpoints whose processors can be made of what the tiny ones have."""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    # Where a picture is reduced many times over, as to the tiny ones' size, ours is coarser.
    small = {name: each.resize((150, 110)) for name, each in draw_samples().items()}
    monkeypatch.setattr("models.hub.verify.draw_samples", lambda: small)
    monkeypatch.setattr("models.store.imports_folder", lambda: tmp_path / "imports")
    with running() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


def imported(hub: Hub, folder: Path, make: Callable[[Path], object]) -> StoredModel:
    """Return a model that came from the stand-in hub, as the store has it."""
    (folder / "source").mkdir()
    make(folder / "source")
    hub.repositories["tiny/model"] = Repository(folder / "source")
    target = folder / "model"
    target.mkdir()
    prepare("tiny/model", target)
    return StoredModel("tiny", "1", target, metadata_module.read(target))


@pytest.mark.parametrize("name", COMPARED)
def test_the_same_network_writes_the_same(hub: Hub, tmp_path: Path, name: str) -> None:
    report = verify(imported(hub, tmp_path, COMPARED[name]))
    assert report.why_not == ""
    assert report.same == dict.fromkeys(draw_samples(), True)
    assert report.grey_levels is not None and report.grey_levels < 0.01
    assert report.good
    text = report.markdown()
    assert "3 of 3 pictures token for token" in text
    assert f"tiny/model@{hub.repositories['tiny/model'].sha('main')}" in text
    assert text.count("| fp32 |") == 3
    assert not list((tmp_path / "imports").rglob("*.json"))


def test_other_weights_are_found_out(hub: Hub, tmp_path: Path) -> None:
    """The reference reads the model directory too: what differs here is its input."""
    model = imported(hub, tmp_path, MAKERS["blip"])
    shifted = model.metadata.preprocess.model_copy(update={"mean": (0.9, 0.1, 0.5)})
    changed = model.metadata.model_copy(update={"preprocess": shifted})
    metadata_module.write(model.path, changed)
    report = verify(model)
    assert not report.good
    assert report.grey_levels is not None and report.grey_levels > 50


def test_without_the_hub_every_format_is_tried_all_the_same(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = imported(hub, tmp_path, MAKERS["blip"])
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    report = verify(model)
    assert not report.good
    assert "not compared with transformers: HubUnreachableError" in report.markdown()
    assert len(report.trials[0].captions) == 3


def test_a_matcher_is_refused(hub: Hub, tmp_path: Path) -> None:
    model = imported(hub, tmp_path, make_hub_bridgetower)
    with pytest.raises(ValueError, match="is a matcher"):
        verify(model)


def test_the_samples_are_always_the_same() -> None:
    one, two = draw_samples(), draw_samples()
    assert len({picture.size for picture in one.values()}) == 3
    for name, picture in one.items():
        assert np.array_equal(np.asarray(picture), np.asarray(two[name]))
        assert len(picture.getcolors(1 << 20)) > 5
