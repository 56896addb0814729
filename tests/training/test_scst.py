"""Self-critical training: the reward, the gradient's direction, the command."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from models.api import metadata as metadata_module
from models.captioners.cnn_transformer.tokenizer import BOS_ID, EOS_ID, PAD_ID, CaptionTokenizer
from models.decoding.protocol import Hypothesis
from models.layers.network_protocol import IGNORED
from training.data.coco import CaptionedImage, load_split
from training.loop.self_critical import Reward, extremes, sequence_batch
from training.metrics.scoring import share_of_bad_endings
from training.scst import main as scst_command
from training.train import main as train_command

IMAGES = (
    CaptionedImage(1, Path("a.jpg"), ("a dog runs on the grass", "the dog is running")),
    CaptionedImage(2, Path("b.jpg"), ("a red ball", "there is a ball on the sand")),
    CaptionedImage(3, Path("c.jpg"), ("two people sit on a bench",)),
)


@pytest.fixture
def tokenizer() -> CaptionTokenizer:
    return CaptionTokenizer.train([text for image in IMAGES for text in image.references])


@pytest.fixture
def said(tokenizer: CaptionTokenizer) -> Callable[..., Hypothesis]:
    def make(text: str, ended: bool = True) -> Hypothesis:
        tokens = tuple(tokenizer.encode(text)) + ((EOS_ID,) if ended else ())
        return Hypothesis(tokens, -1.0, -1.0)

    return make


def test_reward_prefers_what_people_said(
    tokenizer: CaptionTokenizer, said: Callable[..., Hypothesis]
) -> None:
    reward = Reward([IMAGES], tokenizer)
    own, half, other = reward(
        [said("a dog runs on the grass"), said("a dog runs"), said("a red ball")], [0, 0, 0]
    ).tolist()
    assert own > half > other


def test_stopping_in_mid_phrase_earns_less(
    tokenizer: CaptionTokenizer, said: Callable[..., Hypothesis]
) -> None:
    reward = Reward([IMAGES], tokenizer)
    whole, cut = reward(
        [said("a dog runs on the grass"), said("a dog runs on the")], [0, 0]
    ).tolist()
    unended = reward([said("a dog runs on the grass", ended=False)], [0]).item()
    assert whole > cut
    assert whole > unended


def test_what_is_rare_is_counted_in_each_data_set(
    tokenizer: CaptionTokenizer, said: Callable[..., Hypothesis]
) -> None:
    apart = Reward([IMAGES, IMAGES[:2]], tokenizer)
    alone, second = Reward([IMAGES], tokenizer), Reward([IMAGES[:2]], tokenizer)
    hypotheses = [said("a dog runs on the grass")] * 2
    expected = [alone(hypotheses[:1], [0]).item(), second(hypotheses[:1], [0]).item()]
    assert apart(hypotheses, [0, len(IMAGES)]).tolist() == expected
    assert expected[0] != expected[1]


def test_sequence_batch_is_teacher_forcing() -> None:
    groups = [
        [Hypothesis((5, 6, EOS_ID), 0, 0), Hypothesis((7, EOS_ID), 0, 0)],
        [Hypothesis((8, 9, 10), 0, 0), Hypothesis((EOS_ID,), 0, 0)],
    ]
    input_ids, labels = sequence_batch(groups)
    assert input_ids.tolist() == [
        [[BOS_ID, 5, 6], [BOS_ID, 7, PAD_ID]],
        [[BOS_ID, 8, 9], [BOS_ID, PAD_ID, PAD_ID]],
    ]
    assert labels.tolist() == [
        [[5, 6, EOS_ID], [7, EOS_ID, IGNORED]],
        [[8, 9, 10], [EOS_ID, IGNORED, IGNORED]],
    ]


@pytest.mark.parametrize(
    ("count", "kept"),
    [(1, [[2], [0]]), (2, [[2, 3], [0, 1]]), (3, [[2, 0, 3], [0, 2, 1]]), (9, None), (0, None)],
)
def test_the_best_and_the_worst_say_most(count: int, kept: list[list[int]] | None) -> None:
    groups = [[Hypothesis((10 * row + i,), 0, 0) for i in range(4)] for row in range(2)]
    advantage = torch.tensor([[0.5, 0.1, 2.0, -1.0], [1.0, -2.0, 0.0, -0.5]])
    chosen, found = extremes(groups, advantage, count)
    if kept is None:
        assert chosen == groups and torch.equal(found, advantage)
        return
    assert chosen == [[groups[row][i] for i in places] for row, places in enumerate(kept)]
    assert found.tolist() == [
        [advantage[row, i].item() for i in places] for row, places in enumerate(kept)
    ]


def test_bad_endings_are_counted() -> None:
    captions = ["A dog runs on the.", "a dog", "A man with a", "two kids playing."]
    assert share_of_bad_endings(captions) == 0.5
    assert share_of_bad_endings([]) == 0.0


def train_for(epochs: int, shapes: Path, overrides: list[str], out: Path) -> Path:
    sets = [
        part
        for override in (*overrides, f"epochs={epochs}", "learning_rate=0.003")
        for part in ("--set", override)
    ]
    arguments = ["--config", "compact", "--data", str(shapes), "--out", str(out), *sets]
    assert train_command(arguments) == 0
    return out


@pytest.fixture(scope="module")
def started(
    shapes: Path, tiny_overrides: list[str], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Runs that have learnt words (`sample`) or sentences (`beam`), not yet which picture's."""
    folder = tmp_path_factory.mktemp("scst")
    return {
        rollout: train_for(epochs, shapes, tiny_overrides, folder / rollout)
        for rollout, epochs in (("sample", 16), ("beam", 60))
    }


@pytest.mark.long
@pytest.mark.parametrize(
    "how",
    [
        ("rollout=sample", "baseline=greedy", "temperature=1"),
        ("rollout=sample", "baseline=others", "temperature=0.7"),
        ("rollout=beam", "baseline=others"),
    ],
)
def test_reward_rises(
    started: dict[str, Path], shapes: Path, tmp_path: Path, how: tuple[str, ...]
) -> None:
    torch.manual_seed(0)
    out = tmp_path / "run"
    overrides = ("bf16=off", "batch_images=6", "learning_rate=0.001", "epochs=40", "warmup=0")
    sets = [part for o in (*overrides, *how) for part in ("--set", o)]
    start = str(started[how[0].removeprefix("rollout=")])
    assert scst_command(["--model", start, "--data", str(shapes), "--out", str(out), *sets]) == 0
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    rewards = [entry["reward"] for entry in log if "reward" in entry]
    assert np.mean(rewards[-3:]) > np.mean(rewards[:2]) + 0.05
    ciders = [entry["eval_cider"] for entry in log if "eval_cider" in entry]
    kept = metadata_module.read(out / "model")
    # Never worse than the start, which is scored first.
    assert kept.metrics["shapes/val"]["cider"] == pytest.approx(max(ciders))
    assert len(kept.scores) == 1 and "training.scst" in kept.source


def test_wrong_start_is_one_clear_line(
    shapes: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    arguments = ["--model", "nobody", "--data", str(shapes), "--out", str(tmp_path / "run")]
    assert scst_command(arguments) == 2
    assert "no model 'nobody'" in caplog.text


def test_shapes_are_what_the_tests_think(shapes: Path) -> None:
    assert len(load_split(shapes, "train")) == 12
