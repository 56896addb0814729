"""Caption scores against hand-computed values, and their errors."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pycocoevalcap")

from training.metrics import scoring
from training.metrics.ptb_tokenizer import java_available
from training.metrics.scores import Scores
from training.metrics.scoring import score, words

needs_java = pytest.mark.skipif(
    not java_available(), reason="no java: Debian's package `default-jre-headless`"
)

REFERENCES = {
    1: ["A black dog runs in the snow.", "A dog is running through deep snow."],
    2: ["A man rides a red bicycle.", "A man on a bicycle in the street."],
    3: ["Two cats sleep on a sofa.", "Two cats on a couch."],
}
PERFECT = {i: captions[0] for i, captions in REFERENCES.items()}


def test_words() -> None:
    assert words('The "T-shirt", isn\'t it?  OK_!') == "the tshirt isnt it ok"
    assert words("Café 日本!") == "café 日本"
    assert words(" ... ") == ""


def test_captions_equal_to_a_reference() -> None:
    found = score(PERFECT, REFERENCES)
    assert found.bleu_1 == pytest.approx(1)
    assert found.bleu_4 == pytest.approx(1)
    assert found.rouge_l == pytest.approx(1)
    assert found.tokenizer == "words"
    assert found.num_images == 3
    assert (found.meteor, found.spice) == (None, None)


def test_captions_with_nothing_in_common() -> None:
    found = score(dict.fromkeys(REFERENCES, "xyzzy"), REFERENCES)
    assert found.bleu_1 == pytest.approx(0, abs=1e-6)
    assert found.rouge_l == 0
    assert found.cider == 0
    assert set(found.per_image_cider.values()) == {0}


def test_values_computed_by_hand() -> None:
    # 3 of 4 words and 1 of 3 pairs of words are right, and the length fits.
    found = score({1: "a dog sat there"}, {1: ["a dog there ran"]})
    assert found.bleu_1 == pytest.approx(3 / 4)
    assert found.bleu_2 == pytest.approx((3 / 4 * 1 / 3) ** 0.5)
    # The longest common subsequence is "a dog there"; precision = recall.
    assert found.rouge_l == pytest.approx(3 / 4)
    # One image: every n-gram is in every document and weighs nothing.
    assert found.cider == 0


def test_a_short_caption_is_penalised() -> None:
    found = score({1: "a dog"}, {1: ["a dog runs here"]})
    assert found.bleu_1 == pytest.approx(2.718281828 ** (1 - 4 / 2))


def test_cider_orders_captions() -> None:
    worse = PERFECT | {1: "A dog in a street.", 2: "Two cats sleep on a sofa."}
    best, found = score(PERFECT, REFERENCES), score(worse, REFERENCES)
    assert best.per_image_cider[1] > found.per_image_cider[1] > found.per_image_cider[2]
    assert best.per_image_cider[3] == pytest.approx(found.per_image_cider[3])
    assert found.cider == pytest.approx(sum(found.per_image_cider.values()) / 3)


def test_order_of_images_does_not_matter() -> None:
    turned = score(dict(reversed(PERFECT.items())), REFERENCES)
    straight = score(PERFECT, REFERENCES)
    assert turned.per_image_cider == pytest.approx(straight.per_image_cider)
    assert turned.summary() == pytest.approx(straight.summary())


def test_description_of_the_text() -> None:
    hypotheses = {1: "A dog.", 2: "a DOG", 3: "two cats sleep here"}
    found = score(hypotheses, REFERENCES, training_captions=["A dog!", "a cat"])
    assert found.vocabulary_used == 6
    assert found.mean_length == pytest.approx(8 / 3)
    assert found.distinct_captions == 2
    assert found.distinct_share == pytest.approx(2 / 3)
    assert found.unseen_share == pytest.approx(1 / 3)
    assert score(hypotheses, REFERENCES).unseen_share is None
    assert score(hypotheses, REFERENCES, training_captions=[]).unseen_share == 1
    assert score(hypotheses, REFERENCES, training_captions=iter(["a dog"])).unseen_share < 1


def test_empty_hypothesis_is_scored() -> None:
    found = score(PERFECT | {1: ""}, REFERENCES)
    assert found.per_image_cider[1] == 0
    assert found.bleu_1 < 1


def test_summary_is_json_without_the_images() -> None:
    summary = json.loads(json.dumps(score(PERFECT, REFERENCES).summary()))
    assert summary["num_images"] == 3
    assert "per_image_cider" not in summary
    assert summary.keys() == Scores.__dataclass_fields__.keys() - {"per_image_cider"}


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    score(PERFECT, REFERENCES)
    assert capfd.readouterr().out == ""


def test_tokenizers() -> None:
    hypotheses, references = {1: "a man's t-shirt", 2: "x"}, {1: ["a man 's t-shirt."], 2: ["x"]}
    treebank = score(hypotheses, references, tokenizer="ptb-python")
    assert treebank.tokenizer == "ptb-python"
    assert treebank.bleu_1 == pytest.approx(1)
    assert treebank.mean_length == 2.5
    assert score(hypotheses, references).bleu_1 < 1


@needs_java
def test_java_and_python_tokenizers_give_the_same_scores() -> None:
    java = score(PERFECT, REFERENCES, tokenizer="auto", training_captions=["A dog."])
    python = score(PERFECT, REFERENCES, tokenizer="ptb-python", training_captions=["A dog."])
    assert java.tokenizer == "ptb-java"
    assert java.summary() | {"tokenizer": "ptb-python"} == python.summary()


def test_auto_without_java(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert score(PERFECT, REFERENCES, tokenizer="auto").tokenizer == "ptb-python"


def test_metrics_in_java_are_none_without_java(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    with caplog.at_level(logging.WARNING):
        found = score(PERFECT, REFERENCES, with_java=["meteor", "spice"])
    assert (found.meteor, found.spice) == (None, None)
    assert "METEOR not scored" in caplog.text
    assert "SPICE not scored" in caplog.text


def test_a_failing_metric_in_java_does_not_cost_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail() -> float:
        raise ValueError("could not convert string to float: ''")

    if not java_available():
        pytest.skip("no java: Debian's package `default-jre-headless`")
    assert scoring._in_java("METEOR", fail) is None
    assert "METEOR not scored" in caplog.text


@needs_java
def test_meteor() -> None:
    # One call only: METEOR takes seconds to load its paraphrases.
    meteor = score(PERFECT | {1: "A cat."}, REFERENCES, with_java=["meteor"]).meteor
    assert meteor is not None
    assert 0.3 < meteor < 0.9


@pytest.mark.parametrize(
    ("hypotheses", "references", "message"),
    [
        ({}, {}, "no images"),
        ({1: "a", 2: "b"}, {1: ["a"]}, "without references: 2"),
        ({1: "a"}, {1: ["a"], 5: ["b"]}, "without a hypothesis: 5"),
        ({1: "a"}, {}, "without references: 1"),
        ({1: "a", 2: "b"}, {1: ["a"], 2: []}, "image 2: empty references"),
        ({1: "a"}, {1: ["...", ""]}, "image 1: .* no word"),
        ({1: "a"}, {1: "a dog"}, "image 1: .* not a str"),
    ],
)
def test_senseless_input_is_refused(
    hypotheses: dict[int, str], references: dict[int, list[str]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        score(hypotheses, references)


@pytest.mark.parametrize(
    "options", [{"tokenizer": "ptb"}, {"with_java": ["bleu"]}, {"with_java": "meteor"}]
)
def test_unknown_option_is_refused(options: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"tokenizer|with_java"):
        score(PERFECT, REFERENCES, **options)


def test_importing_is_cheap() -> None:
    code = (
        "import sys, training.metrics.scoring;"
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'torch','numpy','pycocoevalcap'}))"
    )
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
