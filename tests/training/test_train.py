"""The commands end to end on drawn shapes: train, kill, resume, evaluate, register."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from models.api import metadata as metadata_module
from models.api.measured import Conditions
from models.backbones import BACKBONES
from models.registry import load_captioner
from training.evaluate import evaluate
from training.loop.run_directory import complete_checkpoints
from training.loop.run_settings import read_sources
from training.loop.session import Session
from training.train import main as train_command

ROOT = Path(__file__).resolve().parents[2]


def command(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", f"training.{module}", *arguments]


def environment(home: Path | None = None) -> dict[str, str]:
    # One thread: sums are added in one order, so that runs can be compared bit for bit.
    extra = {"OMP_NUM_THREADS": "1", "BENTOML_DO_NOT_TRACK": "1"}
    if home is not None:
        extra["BENTOML_HOME"] = str(home)
    return {**os.environ, **extra}


def run(module: str, *arguments: str, home: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(module, *arguments),
        env=environment(home),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def train_arguments(shapes: Path, out: Path, overrides: list[str]) -> list[str]:
    sets = [part for override in overrides for part in ("--set", override)]
    return ["--config", "compact", "--data", str(shapes), "--out", str(out), *sets]


@pytest.fixture(scope="module")
def overrides(tiny_overrides: list[str]) -> list[str]:
    # No augmentation: twelve drawings are to be learnt by heart, quickly.
    return [
        *tiny_overrides,
        "batch_images=2",
        "epochs=40",
        "frozen_epochs=1",
        "learning_rate=0.003",
        "trunk_learning_rate=0.003",
        "model.dropout=0.02",
        "model.attention_dropout=0",
        "model.output_dropout=0",
        "weight_decay=0",
        "label_smoothing=0",
        "average=0.8",
        'augmentation={"flip":0.5}',
    ]


@pytest.fixture(scope="module")
def straight(shapes: Path, overrides: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("straight") / "run"
    done = run("train", *train_arguments(shapes, out, overrides))
    assert done.returncode == 0, done.stderr
    return out


def test_learns_and_logs(straight: Path, shapes: Path) -> None:
    log = [json.loads(line) for line in (straight / "log.jsonl").read_text().splitlines()]
    losses = [entry["loss"] for entry in log if "loss" in entry]
    ciders = [entry["eval_cider"] for entry in log if "eval_cider" in entry]
    assert len(ciders) == 40
    assert losses[-1] < 0.5 * losses[0]
    assert max(ciders) > 3
    metadata = metadata_module.read(straight / "model")
    # The exported model is the best one, and says so.
    assert metadata.metrics["shapes/val"]["cider"] == pytest.approx(max(ciders))
    (measured,) = metadata.scores
    # Neither the epoch nor what only describes captions is a score.
    assert set(measured.scores) == {"cider", "bleu_4", "rouge_l"}
    assert measured.conditions == Conditions(
        data="shapes/val",
        pictures=12,
        precision="fp32",
        num_beams=3,
        max_length=24,
        length_penalty=1.0,
        no_repeat_ngram=0,
        tokenizer="words",
    )
    validations = [entry for entry in log if "eval_cider" in entry]
    told = measured.conditions.model_dump(mode="json")
    assert all(entry["conditions"] == told for entry in validations)
    # Who evaluates the model in the same way finds the same.
    again = evaluate(str(straight), shapes, "val", tokenizer="words")
    assert again.conditions == measured.conditions
    assert again.scores.cider == pytest.approx(max(ciders), abs=0.05)


@pytest.mark.long
def test_killed_and_resumed_equals_straight(
    straight: Path, shapes: Path, overrides: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    process = subprocess.Popen(
        command("train", *train_arguments(shapes, out, overrides)),
        env=environment(),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 200
    while len(complete_checkpoints(out)) == 0 or _epochs(out) < 5:
        assert process.poll() is None, "training ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    # A checkpoint that was cut off must not be taken.
    (out / "checkpoint-99999").mkdir()
    done = run("train", "--out", str(out), "--resume")
    assert done.returncode == 0, done.stderr
    for file in ("model.safetensors", "average.safetensors"):
        expected = load_file(complete_checkpoints(straight)[-1] / file)
        resumed = load_file(complete_checkpoints(out)[-1] / file)
        assert expected.keys() == resumed.keys()
        for name, tensor in expected.items():
            assert tensor.equal(resumed[name]), name


def _epochs(out: Path) -> int:
    return (out / "log.jsonl").read_text().count("eval_cider")


def test_evaluate_prints_and_writes(straight: Path, shapes: Path, tmp_path: Path) -> None:
    done = run(
        "evaluate",
        "--model",
        str(straight),
        "--data",
        str(shapes),
        "--split",
        "val",
        "--out",
        str(tmp_path),
    )
    assert done.returncode == 0, done.stderr
    for name in ("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr"):
        assert name in done.stdout
    results = json.loads((tmp_path / "results.json").read_text())
    assert {entry["image_id"] for entry in results} == set(range(1, 13))
    by_id = {entry["image_id"]: entry["caption"] for entry in results}
    # Pictures 1-4 are red, 5-8 blue, 9-12 green.
    colours = ["red"] * 4 + ["blue"] * 4 + ["green"] * 4
    right = sum(colour in by_id[number] for number, colour in enumerate(colours, 1))
    assert right >= 9, by_id


def test_register_and_evaluate_by_tag(straight: Path, shapes: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    done = run("register", str(straight), "--name", "shapes", home=home)
    assert done.returncode == 0, done.stderr
    assert "registered shapes:" in done.stderr
    arguments = ("--model", "shapes", "--data", str(shapes), "--split", "val")
    assert "CIDEr" in run("evaluate", *arguments, home=home).stdout


@pytest.mark.long
def test_goes_on_from_a_trained_model(straight: Path, shapes: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    rates = ("learning_rate=1e-6", "trunk_learning_rate=1e-6", "batch_images=6", "bf16=off")
    sets = [part for override in (*rates, "epochs=1") for part in ("--set", override)]
    done = run(
        "train",
        "--init",
        str(straight),
        "--config",
        "compact",
        "--data",
        str(shapes),
        "--out",
        str(out),
        *sets,
    )
    assert done.returncode == 0, done.stderr
    assert "the model's vocabulary lacks 0.0 % of the captions' words" in done.stderr
    before, after = (metadata_module.read(folder / "model") for folder in (straight, out))
    # A rate this small changes nothing to speak of: what was learnt is still there.
    assert after.metrics["shapes/val"]["cider"] > 0.8 * before.metrics["shapes/val"]["cider"]
    assert after.vocabulary_sha256 == before.vocabulary_sha256
    assert "--init" in after.source
    shutil.rmtree(out / "checkpoint-2")
    done = run("train", "--out", str(out), "--resume")
    assert done.returncode == 0, done.stderr
    assert "vocabulary lacks" in done.stderr, "it must begin with the same model again"


def test_exported_model_is_complete(straight: Path) -> None:
    captioner = load_captioner(straight / "model")
    assert captioner.method == "compact"
    card = (straight / "model" / "README.md").read_text()
    assert "shapes/train: 12 pictures" in card


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config", "compact", "--data", "nowhere", "--out", "OUT"], "no such folder"),
        (["--config", "nothing", "--data", "DATA", "--out", "OUT"], "no recipe 'nothing'"),
        (["--resume", "--out", "OUT"], "nothing to resume"),
        (
            ["--config", "compact", "--data", "DATA", "--out", "OUT", "--set", "model.colour=red"],
            "model.colour: the network has no such setting",
        ),
        (
            ["--config", "compact", "--data", "DATA", "--out", "OUT", "--set", "model.backbone=x"],
            "model.backbone: unknown backbone 'x'; known: mobilenet_edgetpu",
        ),
        (
            ["--config", "compact", "--data", "DATA", "--out", "OUT", "--trunk", "nothing.bin"],
            "--trunk nothing.bin",
        ),
        (["--config", "compact", "--data", "DATA", "--out", "/proc/run"], "cannot be written"),
        (
            ["--init", "nobody", "--config", "compact", "--data", "DATA", "--out", "OUT"],
            "no model 'nobody'",
        ),
        (
            ["--init", "DEFAULT", "--config", "tf-tutorial", "--data", "DATA", "--out", "OUT"],
            "the recipe trains tf-tutorial, --init is a compact",
        ),
    ],
)
def test_mistakes_are_one_clear_line(
    shapes: Path,
    tmp_path: Path,
    arguments: list[str],
    message: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    places = {
        "DATA": shapes,
        "OUT": tmp_path / "run",
        "DEFAULT": ROOT / "models" / "weights" / "compact",
    }
    filled = [str(places.get(part, part)) for part in arguments]
    assert train_command(filled) == 2
    assert message in caplog.text
    assert "\n" not in caplog.records[-1].getMessage()


def test_captions_without_words_are_one_clear_line(
    shapes: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = tmp_path / "data"
    shutil.copytree(shapes, data)
    path = data / "annotations" / "captions_train.json"
    content = json.loads(path.read_text())
    for annotation in content["annotations"]:
        annotation["caption"] = f"一只狗在第{annotation['id']}块草地上奔跑"
    path.write_text(json.dumps(content))
    out = tmp_path / "run"
    assert train_command(["--config", "compact", "--data", str(data), "--out", str(out)]) == 2
    said = caplog.records[-1].getMessage()
    assert "data/train: 24 of 24 captions" in said and "\n" not in said
    assert not (out / "recipe.json").exists()


def test_the_layout_is_kept_with_the_run(
    shapes: Path, tiny_overrides: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data, out = tmp_path / "data", tmp_path / "run"
    shutil.copytree(shapes, data)
    entry = {"imgid": 1, "split": "train", "filename": "val-1.png", "sentences": [{"raw": "x"}]}
    (data / "dataset_x.json").write_text(json.dumps({"images": [entry]}))
    arguments = [*train_arguments(data, out, tiny_overrides), "--max-steps", "1"]
    assert train_command(arguments) == 2
    assert "plain, dataset_x.json; name one with --layout" in caplog.text
    assert train_command([*arguments, "--layout", "plain"]) == 0
    (source,) = read_sources(out)
    assert (source.folder, source.layout) == (data.resolve(), "plain")
    assert train_command(["--out", str(out), "--resume", "--max-steps", "2"]) == 0
    found = evaluate(str(out), data, "val", layout="plain")
    assert found.scores.unseen_share is not None, "the run knows its captions"


def test_validation_computes_in_the_format_that_is_recorded(
    shapes: Path, tiny_overrides: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mixed = []
    real = Session.validate

    def validate(session: Session) -> dict[str, float]:
        mixed.append(torch.is_autocast_enabled("cpu"))
        return real(session)

    monkeypatch.setattr(Session, "validate", validate)
    out = tmp_path / "run"
    overrides = [*tiny_overrides, "bf16=on", "epochs=1"]
    arguments = train_arguments(shapes, out, overrides)
    # A method whose models search with one beam: they are validated so.
    arguments[arguments.index("compact")] = "tf-tutorial"
    assert train_command(arguments) == 0
    assert mixed == [False]
    (measured,) = metadata_module.read(out / "model").scores
    assert (measured.conditions.precision, measured.conditions.num_beams) == ("fp32", 1)
    assert evaluate(str(out), shapes, "val", tokenizer="words").conditions == measured.conditions


def test_the_model_is_served_pictures_as_its_backbone_wants_them(
    shapes: Path, tiny_overrides: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    sizes = [one for one in tiny_overrides if "image_" not in one and "backbone" not in one]
    arguments = train_arguments(shapes, out, sizes)
    arguments[arguments.index("compact")] = "keras-example"
    assert train_command([*arguments, "--backbone", "tiny", "--max-steps", "1"]) == 0
    spec = load_captioner(out / "model").preprocess
    tiny = BACKBONES["tiny"]
    assert (spec.height, spec.width) == (tiny.height, tiny.width)
    assert (spec.mean, spec.std) == (tiny.mean, tiny.std)


@pytest.mark.long
def test_stops_when_validation_gets_no_better(
    shapes: Path, tiny_overrides: list[str], tmp_path: Path
) -> None:
    still = ("learning_rate=1e-12", "trunk_learning_rate=0", "early_stopping=2", "epochs=9")
    out = tmp_path / "run"
    done = run("train", *train_arguments(shapes, out, [*tiny_overrides, *still]))
    assert "stopped early: no better CIDEr for 2 validations" in done.stderr
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    # The first is kept as the best, the next two are no better.
    assert [entry["epoch"] for entry in log if "eval_cider" in entry] == [1, 2, 3]
    assert (out / "model" / "captionbox.json").is_file()


def test_a_run_is_not_overwritten(
    straight: Path, shapes: Path, overrides: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert train_command(train_arguments(shapes, straight, overrides)) == 2
    assert "holds a run already; --resume continues it" in caplog.text
