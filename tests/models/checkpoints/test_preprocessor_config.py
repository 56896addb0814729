"""Where hub models keep how pictures reach them, and what holds where they do not say."""

import json
from pathlib import Path

import pytest

from models.api.preprocessing import PreprocessSpec
from models.checkpoints.preprocessor_config import read_content, read_spec
from models.checkpoints.pretrained import ModelImportError

DEFAULT = PreprocessSpec(height=48, width=64, fit="pad", resample="lanczos", mean=(0.1, 0.2, 0.3))


def test_a_silent_file_leaves_the_default() -> None:
    assert read_spec({}, DEFAULT) == DEFAULT
    assert read_spec({"size": None, "resample": None}, DEFAULT) == DEFAULT


def test_what_the_file_says_goes_first() -> None:
    found = read_spec({"size": {"height": 32, "width": 16}, "resample": 2}, DEFAULT)
    assert found == DEFAULT.model_copy(
        update={"height": 32, "width": 16, "fit": "squash", "resample": "bilinear"}
    )


def test_older_and_newer_places(tmp_path: Path) -> None:
    assert read_content(tmp_path) == {}
    processor = {"processor_class": "X", "image_processor": {"size": 32}}
    (tmp_path / "processor_config.json").write_text(json.dumps(processor))
    assert read_content(tmp_path) == {"size": 32}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"size": 64}))
    assert read_content(tmp_path) == {"size": 64}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("preprocessor_config.json", "{"),
        ("preprocessor_config.json", "[]"),
        ("processor_config.json", "3"),
        ("processor_config.json", '{"image_processor": 3}'),
    ],
)
def test_damaged_files(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(ModelImportError, match=name):
        read_content(tmp_path)
