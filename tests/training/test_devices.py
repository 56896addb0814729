"""Training, validation, SCST and evaluation on a device that is not the processor."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from models.api import metadata
from tests.server import ROOT
from training.loop.run_directory import complete_checkpoints
from training.train import main as train


def _sets(*overrides: str) -> list[str]:
    return [part for override in overrides for part in ("--set", override)]


@pytest.fixture(scope="module")
def commands(
    shapes: Path,
    tiny_overrides: list[str],
    vit_gpt2: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, tuple[str, list[str]]]:
    """Return module and arguments of each job, in their order."""
    folder = tmp_path_factory.mktemp("runs")
    data = ["--data", str(shapes)]
    compact, common = folder / "compact", ["--workers", "1"]
    sets = _sets(*tiny_overrides, "epochs=2", "average=0.9", "accumulate=2", "model.dropout=0")
    sampling = _sets("rollout=sample", "baseline=greedy", "batch_images=6", "bf16=off", "epochs=1")
    beams = _sets("batch_images=6", "bf16=off", "epochs=1")
    return {
        "compact": (
            "train",
            ["--config", "compact", *data, "--out", str(compact), *sets, *common],
        ),
        "compact, resumed": (
            "train",
            ["--out", str(compact), "--resume", "--max-steps", "4", "--workers", "0"],
        ),
        "vit-gpt2": (
            "train",
            [
                *("--config", "vit-gpt2", "--init", str(vit_gpt2), *data, *common),
                *("--out", str(folder / "vit-gpt2"), "--max-steps", "2"),
                *_sets("batch_images=4", "bf16=off"),
            ],
        ),
        "scst, sampling": (
            "scst",
            ["--model", str(compact), *data, "--out", str(folder / "sampled"), *sampling],
        ),
        "scst, beams": (
            "scst",
            ["--model", str(compact), *data, "--out", str(folder / "beams"), *beams],
        ),
        "evaluate": ("evaluate", ["--model", str(compact), *data]),
    }


@pytest.fixture(scope="module")
def found(commands: dict[str, tuple[str, list[str]]]) -> dict[str, str]:
    """What went wrong with each command."""
    jobs = [
        {"name": name, "kind": "command", "module": module, "arguments": arguments}
        for name, (module, arguments) in commands.items()
    ]
    done = subprocess.run(
        [sys.executable, "-m", "tests.on_elsewhere", json.dumps(jobs)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return {name: fault and f"{fault}\n{done.stderr}" for name, fault in results.items()}


@pytest.mark.parametrize(
    "name",
    ["compact", "compact, resumed", "vit-gpt2", "scst, sampling", "scst, beams", "evaluate"],
)
def test_commands_run_there(found: dict[str, str], name: str) -> None:
    assert not found[name], found[name]


def test_it_learns_what_the_processor_learns(
    found: dict[str, str], commands: dict[str, tuple[str, list[str]]], tmp_path: Path
) -> None:
    assert not found["compact"]
    _, arguments = commands["compact"]
    there = Path(arguments[arguments.index("--out") + 1])
    here = [*arguments, "--device", "cpu"]
    here[here.index("--out") + 1] = str(tmp_path / "run")
    assert train(here) == 0
    first, second = (complete_checkpoints(run)[0] for run in (there, tmp_path / "run"))
    mine, its = (load_file(folder / "model.safetensors") for folder in (second, first))
    assert mine.keys() == its.keys()
    assert all(tensor.allclose(its[name], atol=1e-3) for name, tensor in mine.items())
    log = [json.loads(line) for line in (there / "log.jsonl").read_text().splitlines()]
    assert any("eval_cider" in entry for entry in log)
    assert metadata.read(there / "model").scores
