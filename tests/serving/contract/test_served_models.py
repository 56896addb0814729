"""Which models are served, and as what."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.api.metadata import ModelMetadata
from models.api.preprocessing import PreprocessSpec
from models.store import StoredModel
from serving.base.problems import Problem
from serving.contract import served_models
from serving.contract.served_models import ServedModels, WrongKindError


@pytest.fixture(autouse=True)
def _store(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every name be a model of the method of that name."""

    def find(tag: str) -> StoredModel:
        metadata = ModelMetadata(method=tag, preprocess=PreprocessSpec())
        return StoredModel(tag, "v1", Path(), metadata)

    monkeypatch.setattr(served_models, "find", find)


def test_models_and_matcher_are_apart() -> None:
    served = ServedModels(["compact", "keras-example"], "bridgetower")
    assert served.tags() == ["compact:v1", "keras-example:v1"]
    assert served.get(None).name == "compact"
    assert served.require_matcher().tag == served.require_matcher("bridgetower").tag
    assert ServedModels(["compact"]).matcher is None


def test_each_setting_takes_its_own_kind() -> None:
    with pytest.raises(WrongKindError) as error:
        ServedModels(["compact"], "keras-example")
    assert str(error.value) == (
        "CAPTIONBOX_MATCHER: keras-example:v1 is a captioner (method keras-example) and ranks no "
        "texts; name it in CAPTIONBOX_MODELS"
    )
    with pytest.raises(WrongKindError, match="CAPTIONBOX_MODELS: bridgetower:v1 is a matcher"):
        ServedModels(["compact", "bridgetower"])


@pytest.mark.parametrize(
    ("matcher", "name", "slug"),
    [("", None, "no-matcher"), ("", "x", "no-matcher"), ("bridgetower", "x", "unknown-model")],
)
def test_asking_for_a_matcher_that_is_not_there(matcher: str, name: str | None, slug: str) -> None:
    with pytest.raises(Problem) as error:
        ServedModels(["compact"], matcher).require_matcher(name)
    assert error.value.type_slug == slug
