"""A trunk that stands still encodes once; what is learnt stays the same."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from training.data.coco import load_split
from training.data.pictures import PictureReader
from training.loop.starting_point import load_trainable
from training.scst import main as scst_command
from training.train import main as train_command

FROZEN = ("trunk_learning_rate=0", "frozen_epochs=0", "epochs=3", "learning_rate=0.003")


def run(shapes: Path, out: Path, *sets: str, command: str = "train") -> list[dict]:
    options = [part for override in sets for part in ("--set", override)]
    begin = ["--config", "compact"] if command == "train" else []
    call = train_command if command == "train" else scst_command
    assert call([*begin, "--data", str(shapes), "--out", str(out), *options]) == 0
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def losses(log: list[dict]) -> list[float]:
    return [entry["loss"] for entry in log if "loss" in entry] + [
        entry["train_loss"] for entry in log if "train_loss" in entry
    ]


def test_without_changes_it_learns_what_it_learns_from_pixels(
    shapes: Path, tiny_overrides: list[str], tmp_path: Path
) -> None:
    sets = (*tiny_overrides, *FROZEN, "augmentation={}")
    from_pixels = run(shapes, tmp_path / "pixels", *sets)
    from_features = run(shapes, tmp_path / "features", *sets, "feature_views=1")
    assert losses(from_features) == pytest.approx(losses(from_pixels), rel=1e-3)
    assert losses(from_features)


def test_features_are_the_trunks_and_shared_by_runs(
    shapes: Path, tiny_overrides: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sets = (*tiny_overrides, *FROZEN, "feature_views=2")
    caplog.set_level(logging.INFO)
    run(shapes, tmp_path / "run", *sets)
    assert "24 views of pictures to encode" in caplog.text
    (cache,) = (tmp_path / "run/features").iterdir()
    manifest = json.loads((cache / "manifest.json").read_text())
    assert manifest["shape"] == [2, "N", 4, 16]
    stored = np.fromfile(cache / "features.f16", np.float16).reshape(2, 12, 4, 16)
    assert np.isfinite(stored).all() and (stored[0] != stored[1]).any()
    # The decoder alone has learnt: a second run from the first one's model finds all of it done.
    caplog.clear()
    arguments = ["--model", str(tmp_path / "run"), "--data", str(shapes)]
    more = ["augmentation={'flip':0}", "feature_views=1", "epochs=1", "bf16=off", "batch_images=6"]
    options = [part for override in more for part in ("--set", override.replace("'", '"'))]
    shared = ["--feature-cache", str(tmp_path / "shared")]
    for name, wanted in (("a", "12 views"), ("b", "0 views")):
        caplog.clear()
        out = ["--out", str(tmp_path / name)]
        assert scst_command([*arguments, *out, *options, *shared]) == 0
        assert f"{wanted} of pictures to encode" in caplog.text
    captioner = load_trainable(tmp_path / "run/model")
    part = load_split(shapes, "train")
    read = PictureReader(captioner.preprocess)
    pixels = np.stack([read(image) for image in part.images]).transpose(0, 3, 1, 2)
    with torch.no_grad():
        expected = captioner.network.image_features(torch.from_numpy(pixels.copy()))
    (cache,) = (tmp_path / "shared").iterdir()
    stored = np.fromfile(cache / "features.f16", np.float16).reshape(12, 4, 16)
    assert np.allclose(stored, expected.numpy(), rtol=2e-3, atol=2e-3)


def test_a_trunk_that_learns_is_refused(
    shapes: Path, tiny_overrides: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sets = [part for o in (*tiny_overrides, "feature_views=1") for part in ("--set", o)]
    arguments = ["--config", "compact", "--data", str(shapes), "--out", str(tmp_path / "run")]
    assert train_command([*arguments, *sets]) == 2
    assert "the trunk learns" in caplog.text
    assert not (tmp_path / "run/recipe.json").exists()
