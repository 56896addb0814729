"""Which models can be imported, by what their files say."""

import json
from pathlib import Path

import pytest

from models.api.captioner import Captioner
from models.api.matcher import Matcher
from models.api.metadata import BrokenModelError, ModelMetadata
from models.api.preprocessing import PreprocessSpec
from models.checkpoints.preprocessor_config import read_spec
from models.checkpoints.pretrained import ModelImportError, read_json
from models.hub.import_model import recognise
from models.hub.repository import HubModel
from models.registry import METHODS, honoured_options, load_object


@pytest.mark.parametrize("name", METHODS)
def test_every_method_can_be_loaded(name: str) -> None:
    method = METHODS[name]
    kinds = {"captioner": Captioner, "matcher": Matcher}
    assert issubclass(load_object(method.implementation), kinds[method.kind])
    assert bool(method.converter) == bool(method.architectures)
    if method.converter:
        assert callable(load_object(method.converter))
    for architecture in method.architectures:
        assert recognise({"architectures": [architecture]}) == name


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "names no architecture"),
        ({"architectures": []}, "names no architecture"),
        ({"architectures": ["BertForMaskedLM"]}, "'BertForMaskedLM' is none that can be imported"),
        (
            {"architectures": ["Own"], "auto_map": {"AutoModel": "own.Own"}},
            "needs code from the model's repository",
        ),
    ],
)
def test_what_is_no_captioner_is_refused(config: dict[str, object], message: str) -> None:
    with pytest.raises(ModelImportError, match=message):
        recognise(config)


@pytest.mark.parametrize(
    ("content", "message"), [(None, "no config.json"), ("{", "cannot be read"), ("[]", "object")]
)
def test_unreadable_configuration_says_so(
    tmp_path: Path, content: str | None, message: str
) -> None:
    path = tmp_path / "config.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ModelImportError, match=message):
        read_json(path)


def test_a_model_may_honour_less_than_its_method() -> None:
    metadata = ModelMetadata(method="compact", preprocess=PreprocessSpec())
    assert "attention" in honoured_options(metadata)
    less = metadata.model_copy(update={"options": ["num_beams", "prompt"]})
    assert honoured_options(less) == {"num_beams"}
    with pytest.raises(BrokenModelError, match="unknown method 'x'"):
        honoured_options(metadata.model_copy(update={"method": "x"}))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        # As ViTFeatureExtractor of transformers 4 wrote it.
        (
            '{"do_normalize": true, "do_resize": true, "image_mean": [0.5, 0.5, 0.5], '
            '"image_std": [0.5, 0.5, 0.5], "resample": 2, "size": 224, '
            '"feature_extractor_type": "ViTFeatureExtractor"}',
            PreprocessSpec(resample="bilinear"),
        ),
        (
            '{"size": {"height": 96, "width": 128}, "resample": 3, "rescale_factor": '
            '0.00392156862745098, "image_mean": [0.4, 0.5, 0.6], "image_std": [1, 1, 1]}',
            PreprocessSpec(height=96, width=128, mean=(0.4, 0.5, 0.6), std=(1, 1, 1)),
        ),
        (
            '{"size": {"shortest_edge": 64}, "do_center_crop": true, "resample": 1, '
            '"crop_size": {"height": 64, "width": 64}, "do_normalize": false}',
            PreprocessSpec(
                height=64, width=64, fit="crop", resample="lanczos", mean=(0, 0, 0), std=(1, 1, 1)
            ),
        ),
    ],
)
def test_preprocessor_files(content: str, expected: PreprocessSpec) -> None:
    assert read_spec(json.loads(content)) == expected


@pytest.mark.parametrize(
    "content", [{"size": {}}, {"resample": 9}, {"do_rescale": False}, {"size": 1}, {"size": "big"}]
)
def test_preprocessor_files_not_understood(content: dict[str, object]) -> None:
    with pytest.raises(ModelImportError, match="preprocessor_config"):
        read_spec(content)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["model.safetensors", "pytorch_model.bin", "x.py"], ["model.safetensors"]),
        (["model.safetensors", "../README.md", "/etc/config.json"], ["model.safetensors"]),
        (["config.json", "pytorch_model.bin", "tf_model.h5", "rust_model.ot"], None),
        (
            [
                "model.safetensors.index.json",
                "model-00001-of-00002.safetensors",
                "model-00002-of-00002.safetensors",
                "onnx/model.onnx",
                "flax_model.msgpack",
            ],
            [
                "model.safetensors.index.json",
                "model-00001-of-00002.safetensors",
                "model-00002-of-00002.safetensors",
            ],
        ),
    ],
)
def test_only_needed_files(files: list[str], expected: list[str] | None) -> None:
    needed = HubModel("a/b", "0", tuple(files)).needed()
    assert needed == (expected or ["config.json", "pytorch_model.bin"])


def test_no_weights_for_torch() -> None:
    with pytest.raises(ModelImportError, match="no weights for PyTorch"):
        HubModel("a/b", "0", ("config.json", "tf_model.h5")).needed()
