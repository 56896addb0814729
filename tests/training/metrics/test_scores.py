"""Each metric is declared once, and everything that tells scores takes it from there."""

import ast
import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated

import pytest

from models.api.metadata import ModelMetadata
from models.api.preprocessing import PreprocessSpec
from tests.training.export.test_report import content
from training.export.model_directory import card
from training.export.report import write_report
from training.loop.hardware import Hardware
from training.loop.session import training_arguments
from training.metrics import scores as declarations
from training.metrics.scores import (
    HEADLINES,
    JAVA_METRICS,
    JUDGE,
    METRICS,
    Metric,
    Scores,
    declared,
    headlines,
    metric_rows,
    statistic_rows,
)
from training.metrics.scoring import score
from training.recipes.recipe import load_recipe

TRAINING = Path(declarations.__file__).resolve().parents[1]
OTHER_FIELDS = {"tokenizer", "num_images", "distinct_captions", "per_image_cider"}
REFERENCES = {1: ["a dog runs", "the dog"], 2: ["a red ball"]}


def test_every_number_of_the_scores_is_declared() -> None:
    assert METRICS.keys() == {field.name for field in fields(Scores)} - OTHER_FIELDS
    assert all(metric.name and metric.meaning for metric in METRICS.values())
    assert len({metric.name for metric in METRICS.values()}) == len(METRICS)
    assert HEADLINES[0] == JUDGE
    assert JAVA_METRICS == ("meteor", "spice")


def test_no_other_file_names_a_metric() -> None:
    names = {metric.name for metric in METRICS.values()}
    for path in TRAINING.rglob("*.py"):
        if path == Path(declarations.__file__).resolve():
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        constants = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        assert not names & {text for text in constants if isinstance(text, str)}, path


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("cider", 0.60812, "0.6081"),
        ("vocabulary_used", 12345, "12,345"),
        ("mean_length", 9.96, "10.0"),
        ("unseen_share", 0.1234, "12.3%"),
    ],
)
def test_values_are_written_as_declared(key: str, value: float, text: str) -> None:
    assert METRICS[key].text(value) == text


def test_better_is_what_the_declaration_says() -> None:
    up, down = METRICS["cider"], METRICS["bad_endings"]
    assert up.improves(0.2, 0.1) and not up.improves(0.1, 0.2)
    assert down.improves(0.1, 0.2) and not down.improves(0.2, 0.1)
    assert up.improves(0.0, None) and not up.improves(0.1, 0.1)


def test_trainer_is_judged_by_the_judge(tmp_path: Path) -> None:
    arguments = training_arguments(load_recipe("compact"), tmp_path, 1, False, Hardware())
    assert arguments.metric_for_best_model == JUDGE
    assert arguments.greater_is_better is True


def test_log_line() -> None:
    entry = {"eval_cider": 0.5, "eval_bleu_4": 0.25, "loss": 3.0, "eval_bad_endings": 0.015}
    assert headlines(entry) == "CIDEr 0.5000, BLEU-4 0.2500, Bad endings 1.5%"


def test_bad_endings_are_told_where_there_are_some() -> None:
    fine = score({1: "a dog runs", 2: "a cat"}, REFERENCES)
    assert "bad_endings" not in {row.key for row in statistic_rows(fine)}
    cut = score({1: "a dog on a", 2: "a cat"}, REFERENCES)
    row = statistic_rows(cut)[-1]
    assert (row.name, row.text) == ("Bad endings", "50.0%")
    assert json.loads(json.dumps(cut.summary()))["bad_endings"] == 0.5


def test_card_names_metrics_and_keeps_what_it_does_not_know() -> None:
    measured = {"a/val": {"cider": 0.5, "bleu_4": 0.25}, "b/val": {"clipscore": 0.7}}
    text = card(ModelMetadata(method="m", preprocess=PreprocessSpec(), metrics=measured))
    assert "| split | BLEU-4 | CIDEr | clipscore |" in text
    assert "| a/val | 0.2500 | 0.5000 |  |" in text
    assert "| b/val |  |  | 0.7000 |" in text


@dataclass(frozen=True)
class More(Scores):
    novelty: Annotated[float, Metric("Novelty", "of {num_images} pictures", "higher", True)] = 0.25


def test_a_new_metric_is_told_everywhere(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(METRICS, "novelty", declared(More)["novelty"])  # type: ignore[arg-type]
    found = More(**vars(content(shapes).scores))
    row = metric_rows(found)[-1]
    assert (row.name, row.text, row.note) == ("Novelty", "0.2500", "of 12 pictures")
    page = write_report(content(shapes, scores=found), tmp_path).read_text(encoding="utf-8")
    assert "Novelty" in page and "of 12 pictures" in page
    measured = {"a/val": {"novelty": 0.5}}
    text = card(ModelMetadata(method="m", preprocess=PreprocessSpec(), metrics=measured))
    assert "| split | Novelty |" in text
