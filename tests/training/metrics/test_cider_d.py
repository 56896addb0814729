"""CIDEr-D: hand-computed values, equality with pycocoevalcap, speed."""

import json
import math
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.metrics.cider_d import CiderD

SHARED = Path(__file__).resolve().parents[3].parent / "shared" / "data"


def split(*captions: str) -> list[list[str]]:
    return [caption.split() for caption in captions]


def pycocoevalcap_scores(
    hypotheses: list[list[str]], references: list[list[list[str]]]
) -> list[float]:
    cider = pytest.importorskip("pycocoevalcap.cider.cider").Cider()
    _, scores = cider.compute_score(
        {i: [" ".join(tokens) for tokens in group] for i, group in enumerate(references)},
        {i: [" ".join(tokens)] for i, tokens in enumerate(hypotheses)},
    )
    return [float(score) for score in scores]


def our_scores(
    hypotheses: list[list[str]], references: list[list[list[str]]]
) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    metric = CiderD.from_references(references)
    return metric.score(hypotheses, [metric.precompute(group) for group in references])


REFERENCES = [
    split("a black dog runs in the snow", "a dog runs", "the dog is running through snow"),
    split("a man rides a red bicycle", "a man on a bicycle in the street"),
    split("two cats sleep on a sofa", "cats on a sofa"),
]


def test_a_reference_itself_scores_ten_where_it_is_the_only_one() -> None:
    references = [split("a b c d e"), split("v w x y z")]
    assert our_scores([group[0] for group in references], references) == pytest.approx([10, 10])


def test_value_computed_by_hand() -> None:
    # Two images, so every n-gram of one image weighs log 2; the hypothesis shares "a", "b", "a b"
    # of its 3 + 2 + 1 n-grams with a reference of 2 + 1 n-grams. Lengths differ by one.
    references = [split("a b"), split("x y z w")]
    score = our_scores([["a", "b", "c"], ["q"]], references)
    unigrams = 2 / (math.sqrt(3) * math.sqrt(2))
    bigrams = 1 / (math.sqrt(2) * 1)
    assert score[0] == pytest.approx(10 * (unigrams + bigrams) / 4 * math.exp(-1 / 72), abs=1e-6)
    assert score[1] == 0


def test_repeating_a_word_does_not_pay() -> None:
    references = [split("a dog"), split("x y")]
    once, often = (our_scores([tokens, ["x"]], references)[0] for tokens in (["dog"], ["dog"] * 8))
    assert often < once


def test_words_in_every_image_weigh_nothing() -> None:
    references = [split("a dog"), split("a cat")]
    assert our_scores([["a"], ["a"]], references).tolist() == [0, 0]


def test_better_captions_score_higher() -> None:
    metric = CiderD.from_references(REFERENCES)
    image = metric.precompute(REFERENCES[0])
    good, fair, bad = metric.score(
        split("a black dog runs in the snow", "a dog in a field", "two cats sleep on a sofa"),
        [image] * 3,
    )
    assert good > fair > bad >= 0


def test_frequencies_of_another_corpus_are_used() -> None:
    metric = CiderD({("dog",): 100, ("cat",): 1}, num_documents=100)
    dog, cat = metric.score(
        [["dog"], ["cat"]], [metric.precompute([["dog"]]), metric.precompute([["cat"]])]
    )
    assert dog == 0  # in every document
    assert cat == pytest.approx(2.5)  # unigrams of four lengths of n-gram agree entirely


def test_empty_hypothesis_and_empty_reference_score_nothing() -> None:
    metric = CiderD.from_references(REFERENCES)
    image = metric.precompute([[], *REFERENCES[0]])
    scores = metric.score([[], ["unheard-of"]], [image, image])
    assert scores.dtype == np.float32
    assert scores.tolist() == [0, 0]
    assert metric.score([], []).shape == (0,)


@settings(deadline=None)  # a busy machine is no failure
@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from("abcde"), max_size=9),
            st.lists(
                st.lists(st.sampled_from("abcde"), min_size=1, max_size=9), min_size=1, max_size=4
            ),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_equal_to_pycocoevalcap(images: list[tuple[list[str], list[list[str]]]]) -> None:
    hypotheses, references = [h for h, _ in images], [r for _, r in images]
    expected = pycocoevalcap_scores(hypotheses, references)
    assert our_scores(hypotheses, references) == pytest.approx(expected, abs=2e-6)


def test_equal_to_pycocoevalcap_on_photographs_captions_and_fast() -> None:
    path = SHARED / "flickr8k/annotations/captions_val.json"
    if not path.is_file():
        pytest.skip("no ../shared/data")
    images: dict[int, list[list[str]]] = {}
    for annotation in json.loads(path.read_text())["annotations"]:
        images.setdefault(annotation["image_id"], []).append(annotation["caption"].lower().split())
    references = [captions[1:] for captions in images.values()]
    hypotheses = [captions[0] for captions in images.values()]
    metric = CiderD.from_references(references)
    prepared = [metric.precompute(group) for group in references]
    start = time.monotonic()
    scores = metric.score(hypotheses, prepared)
    seconds = time.monotonic() - start
    expected = pycocoevalcap_scores(hypotheses, references)
    assert np.abs(scores - np.array(expected)).max() < 1e-6
    assert len(hypotheses) / seconds > 1000


def test_integers_score_as_the_words_do() -> None:
    numbers: dict[str, int] = {}
    encode = [[[numbers.setdefault(w, len(numbers)) for w in c] for c in g] for g in REFERENCES]
    words, ids = CiderD.from_references(REFERENCES), CiderD.from_references(encode)
    by_words = words.score([REFERENCES[0][0]], [words.precompute(REFERENCES[0][1:])])
    assert by_words == ids.score([encode[0][0]], [ids.precompute(encode[0][1:])])
    assert by_words[0] > 0


def test_senseless_input_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        CiderD({}, 0)
    with pytest.raises(ValueError, match="at least 1"):
        CiderD.from_references([])
    with pytest.raises(ValueError, match="more than 2"):
        CiderD({("a",): 3}, 2)
    metric = CiderD({}, 2)
    with pytest.raises(ValueError, match="no references"):
        metric.precompute([])
    with pytest.raises(ValueError, match="2 hypotheses"):
        metric.score([["a"], ["b"]], [metric.precompute([["a"]])])
