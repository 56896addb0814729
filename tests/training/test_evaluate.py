"""Scoring any method by one command; how many captions the model made up itself."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from models.api import metadata as metadata_module
from models.api.measured import Conditions
from models.api.metadata import ModelMetadata
from models.api.preprocessing import PreprocessSpec
from models.hub.import_model import prepare
from tests.models.captioners.vlm.families import MAKERS
from training.data.coco import load_split
from training.evaluate import evaluate, main
from training.metrics.scores import metric_rows, statistic_rows
from training.metrics.scoring import score, words


@pytest.fixture(scope="module")
def blip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BLIP as `python -m models import` writes it, with its authors' card."""
    source, target = tmp_path_factory.mktemp("hub"), tmp_path_factory.mktemp("blip")
    MAKERS["blip"](source)
    (source / "README.md").write_text("# BLIP\n\nBy its authors.\n")
    prepare(str(source), target)
    return target


@pytest.fixture
def run(tiny_model: Path, shapes: Path, tmp_path: Path) -> Path:
    """A run's folder with a model of its own."""
    folder = tmp_path / "run"
    shutil.copytree(tiny_model, folder / "model")
    sources = [{"folder": str(shapes), "weight": 2.0}]
    (folder / "data.json").write_text(json.dumps(sources))
    return folder


def unseen(captions: dict[int, str], folder: Path) -> float:
    known = {words(text) for text in load_split(folder, "train").captions}
    return sum(words(caption) not in known for caption in captions.values()) / len(captions)


def test_an_imported_network_is_scored(
    blip: Path, shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--model", str(blip), "--data", str(shapes), "--split", "val", "--beams", "1"]
    assert main([*arguments, "--train-captions", str(shapes), "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "CIDEr" in printed
    assert "New captions" in printed
    found = json.loads((tmp_path / "metrics.json").read_text())
    results = json.loads((tmp_path / "results.json").read_text())
    captions = {entry["image_id"]: entry["caption"] for entry in results}
    assert len(set(captions.values())) > 1
    assert found["unseen_share"] == pytest.approx(unseen(captions, shapes))


def test_captions_that_were_learnt_by_heart(tiny_model: Path, shapes: Path, tmp_path: Path) -> None:
    plain = evaluate(str(tiny_model), shapes, "val")
    assert plain.scores.unseen_share is None
    heart = evaluate(str(tiny_model), shapes, "val", train_captions=[shapes])
    assert heart.scores.unseen_share == 1
    # A data set that holds some of what the model says.
    learnt = tmp_path / "learnt"
    shutil.copytree(shapes, learnt)
    path = learnt / "annotations" / "captions_train.json"
    content = json.loads(path.read_text())
    content["annotations"][0]["caption"] = plain.captions[1].upper()
    path.write_text(json.dumps(content))
    found = evaluate(str(tiny_model), shapes, "val", train_captions=[shapes, learnt])
    expected = sum(text != plain.captions[1] for text in plain.captions.values()) / 12
    assert found.scores.unseen_share == pytest.approx(expected)
    assert expected < 1


def test_a_run_knows_its_training_captions(
    run: Path, shapes: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for model in (run, run / "model"):
        assert evaluate(str(model), shapes, "val").scores.unseen_share == 1
    other = tmp_path / "gone"
    (run / "data.json").write_text(json.dumps([str(other)]))
    assert evaluate(str(run), shapes, "val").scores.unseen_share is None
    assert "cannot be read" in caplog.text
    assert "gone" in caplog.text


def test_a_wrong_folder_is_an_error_before_any_captioning(
    tiny_model: Path, shapes: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    arguments = ["--model", str(tiny_model), "--data", str(shapes), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--train-captions", str(shapes), str(tmp_path / "none")]) == 2
    assert str(tmp_path / "none") in caplog.text
    assert not (tmp_path / "out").exists()


def test_recorded_scores_leave_the_authors_card_alone(
    blip: Path, tiny_model: Path, shapes: Path, tmp_path: Path
) -> None:
    for name, model in (("blip", blip), ("own", tiny_model)):
        copy = tmp_path / name
        shutil.copytree(model, copy)
        assert main(["--model", str(copy), "--data", str(shapes), "--record"]) == 0
        found = metadata_module.read(copy)
        recorded = found.metrics["shapes/val"]
        assert set(recorded) == {"bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l", "cider"}
        (measured,) = found.scores
        assert measured.conditions == Conditions.of(
            "shapes/val", 12, found.decode, "fp32", "ptb-python"
        )
    assert (tmp_path / "blip" / "README.md").read_text() == "# BLIP\n\nBy its authors.\n"
    assert "shapes/val" in (tmp_path / "own" / "README.md").read_text()
    # Ours is written anew.
    arguments = ["--model", str(tmp_path / "own"), "--data", str(shapes), "--split", "train"]
    assert main([*arguments, "--record"]) == 0
    assert "shapes/train" in (tmp_path / "own" / "README.md").read_text()


def test_every_score_is_recorded_with_how_it_was_measured(
    tiny_model: Path, shapes: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    shutil.copytree(tiny_model, own)
    base = ["--model", str(own), "--data", str(shapes), "--record"]
    for more in ([], ["--beams", "1"], ["--tokenizer", "words"], ["--precision", "int8"], []):
        assert main([*base, *more]) == 0
    found = metadata_module.read(own)
    width = found.decode.num_beams
    assert width != 1
    assert [
        (how.num_beams, how.tokenizer, how.precision)
        for how in (one.conditions for one in found.scores)
    ] == [
        (1, "ptb-python", "fp32"),
        (width, "words", "fp32"),
        (width, "ptb-python", "int8"),
        (width, "ptb-python", "fp32"),  # measured again
    ]
    assert all(set(one.scores) == set(found.scores[0].scores) for one in found.scores)
    assert found.metrics["shapes/val"] == found.scores[-1].scores, "of the model's own width"
    (alike,) = found.measured_in("int8", "cider")
    assert alike in found.measured_in("fp32", "cider")
    text = (own / "README.md").read_text()
    assert f"Beam search of width {width}, up to {found.decode.max_length} tokens" in text
    assert "Greedy, up to" in text and "int8, Penn Treebank tokens:" in text
    assert "fp32, lower-cased words without punctuation:" in text


def test_what_is_printed_and_written_says_how_it_was_measured(
    tiny_model: Path, shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = ["--model", str(tiny_model), "--data", str(shapes), "--out", str(tmp_path)]
    assert main([*base, "--beams", "1"]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith("shapes/val (12 pictures): greedy, up to ")
    assert first.endswith("fp32, Penn Treebank tokens")
    written = json.loads((tmp_path / "metrics.json").read_text())["conditions"]
    assert written["num_beams"] == 1 and written["tokenizer"] == "ptb-python"


def test_a_matcher_writes_no_captions(
    shapes: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    metadata = ModelMetadata(method="bridgetower", preprocess=PreprocessSpec())
    metadata_module.write(tmp_path, metadata)
    assert main(["--model", str(tmp_path), "--data", str(shapes)]) == 2
    assert "bridgetower" in caplog.text


def test_rows_are_those_that_have_a_value() -> None:
    references = {1: ["a dog runs", "the dog"], 2: ["a red ball"]}
    scores = score({1: "a dog runs", 2: "a cat"}, references, training_captions=["A cat."])
    rows = metric_rows(scores)
    assert [row.name for row in rows][-2:] == ["ROUGE-L", "CIDEr"]
    for row in rows:
        assert row.value == getattr(scores, row.key)
        assert row.text == f"{row.value:.4f}"
    written = {row.key: row.text for row in statistic_rows(scores)}
    assert written == {
        "vocabulary_used": "4",
        "mean_length": "2.5",
        "distinct_share": "100.0%",
        "unseen_share": "50.0%",
    }
