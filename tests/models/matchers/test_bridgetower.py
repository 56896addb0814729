"""BridgeTower: equal to transformers' own model and processor, in whatever batches."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import BridgeTowerForImageAndTextRetrieval, BridgeTowerProcessor

from models.api import metadata
from models.api.matcher import TextTooLongError
from models.api.metadata import BrokenModelError
from models.api.preprocessing import PreprocessSpec
from models.checkpoints.pretrained import ModelImportError
from models.hub.import_model import recognise
from models.matchers.bridgetower.convert import convert, preprocess_spec
from models.matchers.bridgetower.matcher import BridgeTowerMatcher
from models.pictures.sizing import to_pixels
from models.registry import load_captioner, load_matcher
from tests.matchers import LONGEST, SIDE, make_hub_bridgetower, make_tiny_matcher

TEXTS = [
    "a dog",
    "A black dog is running through the tall green grass.",
    "two cats, asleep",
    "ünïcode 你好 🐈",
    "<mask> is looking out of the <pad> window</s>",
    "  spaces  ",
    ".",
]
SIZES = [(64, 64), (65, 64), (640, 480), (200, 61), (61, 200), (190, 60), (90, 30), (33, 47)]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("hub")
    make_hub_bridgetower(directory)
    return directory


@pytest.fixture(scope="module")
def matcher(tmp_path_factory: pytest.TempPathFactory) -> BridgeTowerMatcher:
    directory = tmp_path_factory.mktemp("model")
    make_tiny_matcher(directory)
    return BridgeTowerMatcher.load(directory)


@pytest.fixture(scope="module")
def images() -> list[Image.Image]:
    random = np.random.default_rng(0)
    pictures = []
    for width, height in SIZES:
        # Coarse noise, so that resizing leaves something of it.
        noise = Image.fromarray(random.integers(0, 256, (5, 5, 3), dtype=np.uint8))
        pictures.append(noise.resize((width, height), Image.Resampling.BILINEAR))
    return pictures


def pixels_of(images: list[Image.Image], spec: PreprocessSpec) -> NDArray[np.uint8]:
    return np.stack([to_pixels(image, spec) for image in images])


def score_of_transformers(hub: Path, images: list[Image.Image], texts: list[str]) -> list[Any]:
    """Return `[images][texts]` scores by transformers' own model and processor, pair by pair."""
    processor = BridgeTowerProcessor.from_pretrained(hub)
    network = BridgeTowerForImageAndTextRetrieval.from_pretrained(hub).eval()
    with torch.inference_mode():
        return [
            [
                network(**processor(image, text, return_tensors="pt")).logits.softmax(-1)[0, 1]
                for text in texts
            ]
            for image in images
        ]


def test_scores_are_those_of_transformers(
    hub: Path, matcher: BridgeTowerMatcher, images: list[Image.Image]
) -> None:
    expected = np.array(score_of_transformers(hub, images, TEXTS))
    found = np.array(matcher.score(pixels_of(images, matcher.preprocess), [TEXTS] * len(images)))
    assert np.abs(found - expected).max() < 1e-4
    # Both towers have their say, or equality would mean little.
    assert (np.ptp(found, axis=0) > 0.01).all() and (np.ptp(found, axis=1) > 0.01).all()


def test_a_batch_is_as_one_by_one(matcher: BridgeTowerMatcher, images: list[Image.Image]) -> None:
    pixels = pixels_of(images, matcher.preprocess)
    # More pairs than go through the network at once, one picture without any text.
    texts = [(TEXTS * 2)[index : index + 2 * index] for index in range(len(images))]
    together = matcher.score(pixels, texts)
    assert [len(scores) for scores in together] == [len(group) for group in texts]
    for index, group in enumerate(texts):
        for text, score in zip(group, together[index], strict=True):
            ((alone,),) = matcher.score(pixels[index : index + 1], [[text]])
            assert score == pytest.approx(alone, abs=1e-5)


def test_the_image_tower_runs_once_a_picture(
    matcher: BridgeTowerMatcher, images: list[Image.Image]
) -> None:
    seen: list[int] = []
    network: Any = matcher.network
    block = network.bridgetower.vision_model.visual.transformer.resblocks[0]
    handle = block.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[1]))
    matcher.score(pixels_of(images[:3], matcher.preprocess), [TEXTS * 3] * 3)
    handle.remove()
    assert sum(seen) == 3


def test_texts_of_more_tokens_than_positions_are_refused(matcher: BridgeTowerMatcher) -> None:
    pixels = np.zeros((1, 3, SIDE, SIDE), np.uint8)
    # The tiny tokenizer's tokens are bytes.
    assert matcher.max_tokens == LONGEST
    longest = "a" * LONGEST
    matcher.check_text(longest)
    assert 0 <= matcher.score(pixels, [[longest, "a"]])[0][0] <= 1
    for refuse in (matcher.check_text, lambda text: matcher.score(pixels, [["a", text]])):
        with pytest.raises(TextTooLongError, match="at most 62 tokens are read, the text has 63"):
            refuse(longest + "b")


@pytest.mark.parametrize(
    ("shape", "dtype", "texts"),
    [
        ((1, 3, SIDE, SIDE), np.float32, [["a"]]),
        ((1, 3, SIDE, SIDE + 1), np.uint8, [["a"]]),
        ((2, 3, SIDE, SIDE), np.uint8, [["a"]]),
        ((0, 3, SIDE, SIDE), np.uint8, []),
    ],
)
def test_wrong_arguments(
    matcher: BridgeTowerMatcher, shape: tuple[int, ...], dtype: Any, texts: list[list[str]]
) -> None:
    with pytest.raises(ValueError, match="pixels must be uint8"):
        matcher.score(np.zeros(shape, dtype), texts)


# --- preprocessing ------------------------------------------------------------------------------


@pytest.mark.parametrize("crop", [64, 70, 50])
def test_pixels_are_those_of_the_processor(hub: Path, images: list[Image.Image], crop: int) -> None:
    config = json.loads((hub / "preprocessor_config.json").read_text())
    config["crop_size"] = {"shortest_edge": crop}
    processor = BridgeTowerProcessor.from_pretrained(hub).image_processor
    spec = preprocess_spec(config)
    mean, std = (np.array(values)[:, None, None] for values in (spec.mean, spec.std))
    for image in images:
        expected = processor(image, crop_size=config["crop_size"])["pixel_values"][0]
        found = (to_pixels(image, spec) / 255 - mean) / std
        assert np.abs(found - expected).max() < 1e-5, image.size


def test_a_line_of_pixels_is_a_picture_too(matcher: BridgeTowerMatcher) -> None:
    # transformers' processor rounds its height to nothing and fails.
    for size in ((3000, 1), (1, 3000), (1, 1)):
        assert to_pixels(Image.new("RGB", size, "red"), matcher.preprocess).max() == 255


def test_older_processor_files() -> None:
    spec = preprocess_spec({"size": 294, "size_divisor": 16, "resample": 2})
    assert (spec.height, spec.width, spec.shortest_edge) == (294, 294, 294)
    assert (spec.size_divisor, spec.resample) == (16, "bilinear")
    assert spec.mean[0] == pytest.approx(0.48145466)
    assert preprocess_spec({"crop_size": 288, "size": {"shortest_edge": 300}}).height == 288


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"do_center_crop": False}, "do_center_crop is off"),
        ({"rescale_factor": 1.0}, "rescale_factor"),
        ({"size": {"height": 10, "width": 20}}, "height"),
        ({"size": "large"}, "height"),
        ({"resample": 9}, "resample"),
        ({"size_divisor": 0}, "size_divisor"),
    ],
)
def test_processor_files_not_understood(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelImportError, match=f"preprocessor_config.json: {message}"):
        preprocess_spec(config)


# --- files --------------------------------------------------------------------------------------


def test_it_is_recognised() -> None:
    assert recognise({"architectures": ["BridgeTowerForImageAndTextRetrieval"]}) == "bridgetower"


def test_a_checkpoint_without_the_matching_head_is_refused(hub: Path, tmp_path: Path) -> None:
    for path in hub.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    weights = load_file(hub / "model.safetensors")
    kept = {name: value for name, value in weights.items() if not name.startswith("itm_score")}
    save_file(kept, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelImportError, match=r"itm_score\.fc\.bias"):
        convert(tmp_path, tmp_path / "converted")


def test_damaged_directories_say_what_is_wrong(tmp_path: Path) -> None:
    make_tiny_matcher(tmp_path)
    assert load_matcher(tmp_path).method == "bridgetower"
    with pytest.raises(BrokenModelError, match="'bridgetower' is a matcher, not a captioner"):
        load_captioner(tmp_path)
    told = metadata.read(tmp_path)
    other = told.preprocess.model_copy(update={"height": 96})
    metadata.write(tmp_path, told.model_copy(update={"preprocess": other}))
    with pytest.raises(
        BrokenModelError, match=r"pictures of 64 x 64 pixels, .* makes them 64 x 96"
    ):
        load_matcher(tmp_path)
    metadata.write(tmp_path, told.model_copy(update={"method": "compact"}))
    with pytest.raises(BrokenModelError, match="'compact' is a captioner, not a matcher"):
        load_matcher(tmp_path)
    metadata.write(tmp_path, told)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["itm_score.fc.bias"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BrokenModelError, match=r"the weights lack itm_score\.fc\.bias"):
        load_matcher(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(BrokenModelError, match="cannot be read"):
        load_matcher(tmp_path)


@pytest.mark.slow
def test_at_true_size_scores_are_those_of_transformers(tmp_path: Path) -> None:
    """BridgeTower-base with random weights: 12 + 12 + 6 layers, 288 pixels, 333 M parameters."""
    make_hub_bridgetower(tmp_path / "hub", {})
    image = Image.effect_noise((500, 375), 90).convert("RGB")
    texts = TEXTS[:3]
    ((expected),) = score_of_transformers(tmp_path / "hub", [image], texts)
    (tmp_path / "model").mkdir()
    metadata.write(tmp_path / "model", convert(tmp_path / "hub", tmp_path / "model"))
    matcher = load_matcher(tmp_path / "model")
    assert matcher.max_tokens == 510
    (found,) = matcher.score(pixels_of([image], matcher.preprocess), [texts])
    assert found == pytest.approx([float(score) for score in expected], abs=1e-4)
