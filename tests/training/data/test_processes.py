"""Two processes under torchrun do what one does with twice the pictures."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from training.loop.run_directory import RunError, complete_checkpoints
from training.loop.run_settings import share_out
from training.recipes.recipe import load_recipe
from training.train import main as train_command

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def uneven(shapes: Path, tmp_path: Path) -> Path:
    """The shapes with captions of various lengths and with words unknown to the vocabulary."""
    root = shutil.copytree(shapes, tmp_path / "uneven")
    path = root / "annotations" / "captions_train.json"
    content = json.loads(path.read_text())
    for number, annotation in enumerate(content["annotations"]):
        more = number * number % 5
        annotation["caption"] += " and nothing else" * more + f" rare{number}" * 2
    path.write_text(json.dumps(content))
    return root


def arguments(
    data: Path, out: Path, overrides: list[str], batch: int, epochs: int = 1
) -> list[str]:
    changes = [
        *overrides,
        f"batch_images={batch}",
        "min_word_count=2",
        f"epochs={epochs}",
        "frozen_epochs=0",
        "learning_rate=0.0001",
        "trunk_learning_rate=0.0001",
        "schedule=constant",
        "warmup=0",
        "augmentation={}",
        *(f"model.{name}=0" for name in ("dropout", "attention_dropout", "output_dropout")),
    ]
    sets = [part for change in changes for part in ("--set", change)]
    return ["--config", "compact", "--data", str(data), "--out", str(out), *sets]


def scst_arguments(data: Path, start: Path, out: Path) -> list[str]:
    changes = ("bf16=off", "batch_images=3", "epochs=1", "trunk_learning_rate=0", "warmup=0")
    sets = [part for change in changes for part in ("--set", change)]
    return ["--model", str(start), "--data", str(data), "--out", str(out), *sets]


def optimiser(run: Path) -> dict[int, dict[str, Any]]:
    folder = complete_checkpoints(run)[-1]
    state: dict[int, dict[str, Any]] = torch.load(folder / "optimizer.pt")["state"]
    return state


def torchrun(module: str, command: list[str]) -> str:
    """Run a command in two processes; return what they logged."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc-per-node", "2", "-m", module, *command),
        ],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        _, said = process.communicate(timeout=120)
    finally:
        process.terminate()  # ends its workers too, as a kill would not
    assert process.returncode == 0, said
    return said


# Rendezvous and shut-down of real processes depend on how busy the machine is.
@pytest.mark.slow
def test_two_processes_equal_one_with_twice_the_batch(
    uneven: Path, tmp_path: Path, tiny_overrides: list[str]
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    said = torchrun("training.train", arguments(uneven, two, tiny_overrides, 3))
    assert train_command(arguments(uneven, one, tiny_overrides, 6)) == 0

    # Adam's running mean of the gradients, over two steps.
    expected, found = optimiser(one), optimiser(two)
    assert expected.keys() == found.keys()
    for number, state in expected.items():
        torch.testing.assert_close(
            found[number]["exp_avg"], state["exp_avg"], atol=1e-7, rtol=1e-5, msg=str(number)
        )
    weights = load_file(complete_checkpoints(one)[-1] / "model.safetensors")
    for name, tensor in load_file(complete_checkpoints(two)[-1] / "model.safetensors").items():
        torch.testing.assert_close(tensor, weights[name], atol=1e-5, rtol=1e-5, msg=name)

    # Everything is written and said once.
    log = [json.loads(line) for line in (two / "log.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in log if "eval_cider" in entry] == [2]
    assert said.count("best model:") == said.count("CIDEr") == 1
    assert (two / "model" / "captionbox.json").is_file()

    # On from there, with the trunk held still after the processes agreed on what learns.
    after = tmp_path / "scst"
    said = torchrun("training.scst", scst_arguments(uneven, two, after))
    log = [json.loads(line) for line in (after / "log.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in log if "eval_cider" in entry] == [0, 2]
    assert said.count("best model:") == 1


@pytest.mark.slow
def test_a_run_goes_on_with_another_number_of_processes(
    uneven: Path, tmp_path: Path, tiny_overrides: list[str]
) -> None:
    whole, run = tmp_path / "whole", tmp_path / "run"
    assert train_command(arguments(uneven, whole, tiny_overrides, 6, epochs=3)) == 0

    # The first epoch by two, the second by one, the third by two again.
    first = arguments(uneven, run, tiny_overrides, 3, epochs=3)
    torchrun("training.train", [*first, "--max-steps", "2"])
    assert train_command(["--out", str(run), "--resume", "--max-steps", "4"]) == 0
    torchrun("training.train", ["--out", str(run), "--resume"])

    assert [path.name for path in complete_checkpoints(run)][-1] == "checkpoint-6"
    weights = load_file(complete_checkpoints(whole)[-1] / "model.safetensors")
    for name, tensor in load_file(complete_checkpoints(run)[-1] / "model.safetensors").items():
        torch.testing.assert_close(tensor, weights[name], atol=5e-5, rtol=1e-4, msg=name)
    # Every epoch is validated, and its checkpoint written, once.
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in log if "eval_cider" in entry] == [2, 4, 6]
    assert len(list(run.glob("checkpoint-*"))) == len(complete_checkpoints(run)) <= 2


@pytest.mark.parametrize(
    ("pictures", "processes", "expected"),
    [(64, 2, (32, 1)), (64, 1, (32, 2)), (64, 4, (16, 1)), (96, 1, (32, 3)), (66, 1, (22, 3))],
)
def test_a_step_is_shared_out_anew(
    pictures: int, processes: int, expected: tuple[int, int]
) -> None:
    recipe = share_out(load_recipe("compact", ["batch_images=32"]), pictures, processes)
    assert (recipe.batch_images, recipe.accumulate) == expected


def test_a_step_that_cannot_be_shared_is_refused() -> None:
    with pytest.raises(RunError, match="6 pictures, which 4 processes cannot share evenly"):
        share_out(load_recipe("compact", []), 6, 4)
