"""What a model says of itself: older records, and which scores are told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from models.api.measured import Conditions, Measured
from models.api.metadata import BrokenModelError, ModelMetadata, read, write
from models.api.options import DecodeDefaults
from models.api.preprocessing import PreprocessSpec
from training.export.model_directory import card


def metadata(**fields: object) -> ModelMetadata:
    content = {"method": "compact", "preprocess": PreprocessSpec(), **fields}
    return ModelMetadata.model_validate(content)


OLDER = metadata(
    decode=DecodeDefaults(num_beams=1),
    metrics={"a/val": {"cider": 0.6, "bleu_4": 0.2}},
    cider_by_precision={"int8": {"a/val": 0.598}},
)


def test_older_records_stay_readable_and_say_what_they_lack(tmp_path: Path) -> None:
    assert OLDER.scores == [
        Measured(conditions=Conditions(data="a/val"), scores={"cider": 0.6, "bleu_4": 0.2}),
        Measured(conditions=Conditions(data="a/val", precision="int8"), scores={"cider": 0.598}),
    ]
    assert OLDER.metrics == {"a/val": {"cider": 0.6, "bleu_4": 0.2}}
    assert OLDER.measured_in("int8", "cider").keys() == OLDER.measured_in("fp32", "cider").keys()
    write(tmp_path, OLDER)
    assert read(tmp_path) == OLDER
    text = card(OLDER)
    assert "Beam width and length not on record, fp32, tokenisation not on record:" in text
    # The width that the model has now need not be the one that it was measured with.
    assert "width 1" not in text and "greedy" not in text.lower()


@pytest.mark.parametrize("wrong", [{"metrics": 3}, {"cider_by_precision": {"int8": [0.5]}},
                                   {"metrics": {"a": {"cider": "high"}}}, {"scores": 7},
                                   {"metrics": {}, "scores": 7}])  # fmt: skip
def test_damaged_records_are_named(tmp_path: Path, wrong: dict[str, object]) -> None:
    content = {"method": "compact", "preprocess": PreprocessSpec().model_dump(), **wrong}
    (tmp_path / "captionbox.json").write_text(json.dumps(content))
    with pytest.raises(BrokenModelError, match=r"captionbox\.json: "):
        read(tmp_path)


def test_scores_of_the_models_own_width_are_told_first() -> None:
    found = metadata(decode=DecodeDefaults(num_beams=3))
    for width, cider in ((3, 0.5), (3, 0.6), (1, 0.7)):
        how = Conditions(data="a", num_beams=width, pictures=round(10 * cider))
        found = found.with_scores(Measured(conditions=how, scores={"cider": cider}))
    assert found.metrics == {"a": {"cider": 0.6}}
    assert len(found.scores) == 3
    assert metadata(scores=found.scores[2:]).metrics == {"a": {"cider": 0.7}}


def test_how_is_told_in_one_line() -> None:
    how = Conditions.of("a/val", 1000, DecodeDefaults(no_repeat_ngram=2), "bf16", "words")
    assert how.where == "a/val (1,000 pictures)"
    assert how.how == (
        "beam search of width 3, up to 24 tokens, length penalty 1, no 2-gram twice, bf16, "
        "lower-cased words without punctuation"
    )
