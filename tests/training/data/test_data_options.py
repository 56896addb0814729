"""Training on a mix of data sets, some pictures broken, with and without a cache."""

import json
import logging
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file

from training.evaluate import main as evaluate_command
from training.loop.run_directory import complete_checkpoints
from training.loop.run_settings import read_start
from training.train import main as train_command


@pytest.fixture
def broken(shapes: Path, tmp_path: Path) -> Path:
    """The shapes with one picture missing and one, of either split, cut off."""
    root = shutil.copytree(shapes, tmp_path / "broken")
    (root / "images" / "train-2.png").unlink()
    for name in ("train-5.png", "val-7.png"):
        path = root / "images" / name
        path.write_bytes(path.read_bytes()[:100])
    return root


def command(data: list[str], out: Path, overrides: list[str], *more: str) -> list[str]:
    changes = [*overrides, "batch_images=4", "schedule=constant", "warmup=0"]
    sets = [part for change in changes for part in ("--set", change)]
    given = [part for text in data for part in ("--data", text)]
    return ["--config", "compact", *given, "--out", str(out), *sets, *more]


def weights(run: Path) -> dict[str, bytes]:
    found = load_file(complete_checkpoints(run)[-1] / "model.safetensors")
    return {name: tensor.numpy().tobytes() for name, tensor in found.items()}


def test_mix_cache_and_broken_pictures_repeat_bit_for_bit(
    shapes: Path,
    broken: Path,
    tmp_path: Path,
    tiny_overrides: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    data = [str(broken), f"{shapes}=0.5"]
    overrides = [*tiny_overrides, "epochs=3", "max_unreadable=0.2"]
    plain, cached, resumed = (tmp_path / name for name in ("plain", "cached", "resumed"))
    cache = ("--image-cache", str(tmp_path / "cache"))

    assert train_command(command(data, plain, overrides)) == 0
    assert "train-2.png: left out: No such file" in caplog.text
    assert "broken/train: left out 1 of 12 pictures" in caplog.text
    assert "val-7.png: cannot be read as a picture" in caplog.text
    metadata = json.loads((plain / "model" / "captionbox.json").read_text())
    assert metadata["data"] == [
        "broken/train: 11 pictures, 22 captions",
        "shapes/train: 12 pictures, 24 captions, weight 0.5",
    ]
    steps = {
        entry["step"]
        for line in (plain / "log.jsonl").read_text().splitlines()
        if "eval_cider" in (entry := json.loads(line))
    }
    assert steps == {5, 10, 15}  # 17 pictures an epoch

    assert train_command(command(data, cached, overrides, *cache)) == 0
    assert weights(cached) == weights(plain)

    assert train_command(command(data, resumed, overrides, "--max-steps", "5")) == 0
    _, sources = read_start(resumed)
    assert [(source.folder, source.weight) for source in sources] == [(broken, 1), (shapes, 0.5)]
    assert train_command(["--out", str(resumed), "--resume", *cache]) == 0
    assert weights(resumed) == weights(plain)

    # A truncated picture counts among the unreadable of an evaluation too.
    arguments = ["--model", str(plain), "--data", str(broken), "--split", "val", *cache]
    assert evaluate_command([*arguments, "--out", str(tmp_path / "scores")]) == 2
    assert "1 of 12 pictures cannot be read (8.3%); at most 1.0% may be" in caplog.text
    arguments += ["--max-unreadable", "0.1", "--out", str(tmp_path / "scores")]
    assert evaluate_command(arguments) == 0
    assert json.loads((tmp_path / "scores" / "metrics.json").read_text())["unreadable"] == 1
    assert len(json.loads((tmp_path / "scores" / "results.json").read_text())) == 11


def test_too_many_broken_pictures_end_the_run(
    shapes: Path, tmp_path: Path, tiny_overrides: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    missing = shutil.copytree(shapes, tmp_path / "missing")
    (missing / "images" / "train-2.png").unlink()
    assert train_command(command([str(missing)], tmp_path / "one", tiny_overrides)) == 2
    assert "missing/train: 1 of 12 pictures cannot be read" in caplog.text
    # Nothing was begun: the same command works once the picture is there.
    assert not (tmp_path / "one" / "recipe.json").exists()

    cut = shutil.copytree(shapes, tmp_path / "cut")
    path = cut / "images" / "train-2.png"
    path.write_bytes(path.read_bytes()[:100])
    assert train_command(command([str(cut)], tmp_path / "two", tiny_overrides)) == 2
    assert "training: 1 of 12 pictures cannot be read" in caplog.records[-1].getMessage()

    for path in (cut / "images").glob("train-*"):
        path.write_bytes(path.read_bytes()[:100])
    overrides = [*tiny_overrides, "max_unreadable=1"]
    assert train_command(command([str(cut)], tmp_path / "three", overrides)) == 2
    # Found by a worker of the data loader, which sends its traceback along.
    assert caplog.records[-1].getMessage() == "100 pictures in a row cannot be read"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--data", "x=0"], "x=0: the weight must be above 0"),
        (["--image-cache", "/proc/cache"], "cannot be written"),
        (["--set", "max_unreadable=2"], "max_unreadable: "),
        (["--set", "seed=-1"], "seed: "),
    ],
)
def test_mistakes_are_one_clear_line(
    shapes: Path,
    tmp_path: Path,
    tiny_overrides: list[str],
    more: list[str],
    message: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    out = tmp_path / "run"
    assert train_command(command([str(shapes)], out, tiny_overrides, *more)) == 2
    assert message in caplog.records[-1].getMessage()
    assert not (out / "recipe.json").exists()


def test_runs_from_before_weights_existed_resume(tmp_path: Path) -> None:
    (tmp_path / "recipe.json").write_text('{"method": "compact"}')
    (tmp_path / "data.json").write_text('["/data/a", "/data/b"]')
    _, sources = read_start(tmp_path)
    assert [(str(source.folder), source.weight) for source in sources] == [
        ("/data/a", 1),
        ("/data/b", 1),
    ]


def test_damaged_data_file_is_one_clear_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "recipe.json").write_text('{"method": "compact"}')
    for content in ("[{}]", "{", "[3]", '[{"folder": "a", "weight": null}]'):
        (tmp_path / "data.json").write_text(content)
        assert train_command(["--out", str(tmp_path), "--resume"]) == 2
        assert "data.json: damaged" in caplog.records[-1].getMessage()
