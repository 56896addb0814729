"""Fine-tuning a small random ViT-GPT2 by the same commands as every other method."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import VisionEncoderDecoderModel

from models.captioners.vit_gpt2.network import VitGpt2
from models.hub.import_model import prepare
from models.registry import load_captioner
from tests.checkpoints import write_vit_gpt2
from training.data.dataset import Collate, TrainingItem
from training.evaluate import main as evaluate
from training.loop.run_directory import complete_checkpoints
from training.loop.trainer import fix_what_does_not_learn, parameter_groups
from training.recipes.recipe import load_recipe
from training.train import main as train

QUICK = ("batch_images=4", "bf16=off", "average=0.5", "learning_rate=1e-2")


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model directory as `python -m models import` makes it."""
    target = tmp_path_factory.mktemp("start")
    prepare(str(write_vit_gpt2(tmp_path_factory.mktemp("hub"))), target)
    return target


@pytest.fixture(scope="module")
def run(start: Path, shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two epochs, three steps each."""
    out = tmp_path_factory.mktemp("runs") / "run"
    sets = [part for override in (*QUICK, "epochs=2") for part in ("--set", override)]
    arguments = ["--config", "vit-gpt2", "--init", str(start), "--data", str(shapes)]
    assert train([*arguments, "--out", str(out), *sets]) == 0
    return out


@pytest.fixture
def network(start: Path) -> VitGpt2:
    return VitGpt2.from_pretrained(start)


def test_the_loss_falls(run: Path, start: Path, shapes: Path) -> None:
    # Not the kept model, which is the first of several that are no good.
    after = VitGpt2.from_pretrained(complete_checkpoints(run)[-1]).eval()
    before = load_captioner(start)
    tokens = before.tokenizer.encode("there is a red circle")
    picture = np.full((3, 64, 64), 250, np.uint8)
    batch = Collate.of(before.network)([TrainingItem(picture, [tokens], 0)])
    with torch.no_grad():
        first = before.network(**batch).loss.item()
        last = after(**batch).loss.item()
    assert last < 0.95 * first


def test_the_model_is_complete(run: Path, start: Path) -> None:
    content = json.loads((run / "model" / "captionbox.json").read_text())
    assert content["method"] == "vit-gpt2"
    assert content["licence"] == "apache-2.0"
    assert content["source"].endswith(", then python -m training.train --init")
    assert [entry.split(":")[0] for entry in content["data"]] == ["shapes/train"]
    assert content["decode"] == json.loads((start / "captionbox.json").read_text())["decode"]
    # Others can load it, under the names that the hub's files have.
    VisionEncoderDecoderModel.from_pretrained(run / "model")
    names = load_file(run / "model" / "model.safetensors")
    assert "encoder.encoder.layer.0.attention.attention.query.weight" in names


def test_resumed_is_the_same_bit_for_bit(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(run, out)
    first, last = complete_checkpoints(out)
    shutil.rmtree(last)
    shutil.rmtree(out / "model")
    assert train(["--out", str(out), "--resume"]) == 0
    for file in ("model.safetensors", "average.safetensors"):
        before, expected = load_file(first / file), load_file(run / last.name / file)
        resumed = load_file(out / last.name / file)
        assert expected.keys() == resumed.keys()
        for name, tensor in expected.items():
            assert tensor.equal(resumed[name]), name
        learnt = [name for name in expected if not expected[name].equal(before[name])]
        assert any(name.startswith("encoder.") for name in learnt) or "average" in file
    assert any("encoder.layers" in name for name in expected)


def test_evaluate_takes_a_run(run: Path, shapes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(["--model", str(run), "--data", str(shapes), "--split", "val"]) == 0
    assert "CIDEr" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("override", "learns"),
    [
        ((), ("encoder", "crossattention", "mlp", "wte")),
        (("trunk_learning_rate=0",), ("crossattention", "mlp", "wte")),
        (("decoder_learns=cross-attention",), ("encoder", "crossattention")),
        (("trunk_learning_rate=0", "decoder_learns=cross-attention"), ("crossattention",)),
    ],
)
def test_what_the_recipe_freezes_stands_still(
    network: VitGpt2, override: tuple[str, ...], learns: tuple[str, ...]
) -> None:
    recipe = load_recipe("vit-gpt2", list(override))
    fix_what_does_not_learn(network, recipe)
    groups = parameter_groups(network, recipe)
    assert {group["lr"] for group in groups} <= {recipe.learning_rate, recipe.trunk_learning_rate}
    before = {name: weight.clone() for name, weight in network.named_parameters()}
    optimizer = torch.optim.AdamW(groups)
    tokens = [[5, 6, 7]]
    item = TrainingItem(np.zeros((3, 64, 64), np.uint8), tokens, 0)
    network.train()
    network(**Collate.of(network)([item])).loss.backward()
    optimizer.step()
    changed = [name for name, w in network.named_parameters() if not w.equal(before[name])]
    for part in ("encoder", "crossattention", "mlp", "wte"):
        own = [name for name in changed if part in name]
        if part != "encoder":
            own = [name for name in own if not name.startswith("encoder.")]
        assert bool(own) == (part in learns), part
    # What gets no gradient is not waited for by several processes.
    unused = [n for n, w in network.named_parameters() if w.requires_grad and w.grad is None]
    assert unused == []


def test_one_end_token_is_kept(network: VitGpt2) -> None:
    picture = np.zeros((3, 64, 64), np.uint8)
    batch = Collate.of(network)([TrainingItem(picture, [[5, 6], [7]], 0)])
    end = network.eos_id
    # End, start and padding are one token: only the end counts, once a caption.
    assert batch["input_ids"].tolist() == [[[end, 5, 6], [end, 7, end]]]
    assert batch["labels"].tolist() == [[[5, 6, end], [7, end, -100]]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arguments: arguments[2:], "vit-gpt2 is not trained from nothing: give --init"),
        (
            lambda arguments: [*arguments[:2], "--config", "compact", *arguments[4:]],
            "the recipe trains compact, --init is a vit-gpt2",
        ),
    ],
)
def test_mistakes_are_said_before_anything_is_trained(
    start: Path,
    shapes: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    change: Callable[[list[str]], list[str]],
    message: str,
) -> None:
    arguments = ["--init", str(start), "--config", "vit-gpt2", "--data", str(shapes)]
    assert train([*change(arguments), "--out", str(tmp_path / "run")]) == 2
    assert message in caplog.text
