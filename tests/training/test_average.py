"""Averaging models: the weights, what is taken from the first, what is refused."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from models.api import metadata as metadata_module
from models.api.measured import Conditions, Measured
from models.registry import load_captioner
from tests.drawings import make_tiny_model
from training.average import main as average_command


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two models of one shape with different weights, and one of another vocabulary."""
    folder = tmp_path_factory.mktemp("models")
    made = [folder / "one", folder / "two"]
    for directory in made:
        make_tiny_model(directory)
    weights = load_file(made[1] / "model.safetensors")
    torch.manual_seed(0)
    save_file(
        {
            name: (tensor + torch.randn(tensor.shape) / 50).to(tensor.dtype)
            for name, tensor in weights.items()
        },
        made[1] / "model.safetensors",
        {"format": "pt"},
    )
    return made


def test_weights_are_the_mean(models: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "mean"
    assert average_command([*map(str, models), str(models[1]), "--out", str(out)]) == 0
    one, two, mean = (load_file(d / "model.safetensors") for d in (*models, out))
    assert mean.keys() == one.keys()
    for name, tensor in mean.items():
        expected = (one[name].float() + 2 * two[name].float()) / 3
        torch.testing.assert_close(tensor.float(), expected, atol=2e-3, rtol=2e-3)
    metadata = json.loads((out / "captionbox.json").read_text())
    assert metadata["scores"] == [], "nobody has measured it yet"
    assert "training.average of 3" in metadata["source"]
    assert load_captioner(out).method == "compact"


def test_a_parents_scores_are_not_the_means(models: list[Path], tmp_path: Path) -> None:
    """int8 would be chosen on a score that other weights have earned."""
    parent, out = tmp_path / "parent", tmp_path / "mean"
    shutil.copytree(models[0], parent)
    found = metadata_module.read(parent)
    for precision in ("fp32", "int8"):
        how = Conditions(data="a", precision=precision)
        found = found.with_scores(Measured(conditions=how, scores={"cider": 0.6}))
    metadata_module.write(parent, found)
    assert average_command([str(parent), str(models[1]), "--out", str(out)]) == 0
    assert metadata_module.read(out).measured_in("int8", "cider") == {}
    assert "0.6" not in (out / "README.md").read_text()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("exists", "is there already"),
        ("nobody", "no model 'nobody'"),
        ("shape", "not of the shape"),
    ],
)
def test_mistakes_are_one_clear_line(
    models: list[Path],
    tmp_path: Path,
    change: str,
    message: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    out, second = tmp_path / "out", str(models[1])
    if change == "exists":
        out.mkdir()
    elif change == "nobody":
        second = "nobody"
    else:
        second = str(tmp_path / "other")
        Path(second).mkdir()
        for file in models[0].iterdir():
            (Path(second) / file.name).write_bytes(file.read_bytes())
        save_file({"x": torch.zeros(1)}, Path(second) / "model.safetensors")
    assert average_command([str(models[0]), second, "--out", str(out)]) == 2
    assert message in caplog.text
    assert "\n" not in caplog.records[-1].getMessage()
