"""Pretrained weights for the image trunk."""

import logging
from pathlib import Path

import pytest
import torch
from transformers import EfficientNetConfig, EfficientNetModel

from models.backbones.builder import EfficientNetTrunk
from training.export.run_directory import RunError
from training.recipes.recipe import load_recipe
from training.train import build_network


@pytest.fixture(scope="module")
def hub_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An EfficientNet-B0 with random weights, laid out as on the hub."""
    folder = tmp_path_factory.mktemp("hub") / "efficientnet-b0"
    torch.manual_seed(3)
    config = EfficientNetConfig(width_coefficient=1.0, depth_coefficient=1.0, hidden_dim=1280)
    EfficientNetModel(config).save_pretrained(folder)
    return folder


def test_keras_example_takes_an_efficientnet(hub_folder: Path) -> None:
    network = build_network(load_recipe("keras-example"), 20, str(hub_folder))
    assert isinstance(network.trunk, EfficientNetTrunk)
    expected = EfficientNetModel.from_pretrained(hub_folder).state_dict()
    found = network.trunk.net.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_another_size_is_refused(tmp_path: Path) -> None:
    EfficientNetConfig(width_coefficient=1.2, depth_coefficient=1.0).save_pretrained(tmp_path)
    with pytest.raises(RunError, match=r"width_coefficient is 1\.2, EfficientNet-B0 has 1\.0"):
        build_network(load_recipe("keras-example"), 20, str(tmp_path))


def test_a_trunk_that_is_not_there_is_one_clear_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with caplog.at_level(logging.CRITICAL), pytest.raises(RunError) as error:
        build_network(load_recipe("keras-example"), 20, "nobody/nothing@main")
    assert str(error.value).startswith("--trunk nobody/nothing@main: ")
    assert "\n" not in str(error.value)
