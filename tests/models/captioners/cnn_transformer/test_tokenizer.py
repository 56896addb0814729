"""The word tokenizer: normalisation, vocabulary, sentences, file."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.captioners.cnn_transformer.tokenizer import (
    BOS_ID,
    EOS_ID,
    FILE_NAME,
    PAD_ID,
    UNK_ID,
    CaptionTokenizer,
)

BASE = CaptionTokenizer.train(["a dog's t-shirt"])


@pytest.mark.parametrize(
    ("caption", "words"),
    [
        ("A dog runs.", "a dog runs"),
        ("A dog 's mouth , open", "a dog 's mouth open"),
        ("the man\u2019s T-shirt -- red", "the man 's t-shirt red"),
        ("the \"quoted\" 'word'", "the quoted word"),
        ("don't stop", "don't stop"),
        ("well-known - dash", "well-known dash"),
        ("12 people (3 kids)", "12 people 3 kids"),
        ("Ein Mädchen läuft über die Straße", "ein mädchen läuft über die straße"),
        ("男の子 が 走る", "男の子 が 走る"),
        ("", ""),
        ("...!?", ""),
    ],
)
def test_words(caption: str, words: str) -> None:
    assert BASE.words(caption) == words.split()


@given(st.text())
def test_words_of_words_are_the_same_words(text: str) -> None:
    words = BASE.words(text)
    assert BASE.words(" ".join(words)) == words


@given(st.text())
def test_encode_never_raises_and_stays_in_the_vocabulary(text: str) -> None:
    assert all(UNK_ID <= i < len(BASE) and i not in (BOS_ID, EOS_ID) for i in BASE.encode(text))


def test_vocabulary_is_ranked_by_count_then_alphabet() -> None:
    tokenizer = CaptionTokenizer.train(["b b a c", "c d"], min_count=1)
    assert tokenizer.tokens(range(4, len(tokenizer))) == ["b", "c", "a", "d"]


def test_rare_words_are_unknown() -> None:
    tokenizer = CaptionTokenizer.train(["a a a dog dog cat"], min_count=2)
    assert tokenizer.encode("a cat dog") == [4, UNK_ID, 5]


def test_max_size_counts_the_special_tokens() -> None:
    assert len(CaptionTokenizer.train(["a b c d e f"], max_size=7)) == 7


def test_no_word_left_is_an_error() -> None:
    with pytest.raises(ValueError, match="no word occurs at least 3 times"):
        CaptionTokenizer.train(["one two"], min_count=3)


def test_sentence_reads_well() -> None:
    ids = BASE.encode("a dog's t-shirt")
    assert BASE.sentence([*ids, EOS_ID, PAD_ID]) == "A dog's t-shirt."
    assert BASE.decode(ids) == "a dog 's t-shirt"
    assert BASE.sentence([EOS_ID]) == ""


def test_spans_join_the_possessive_to_its_word() -> None:
    ids = BASE.encode("a dog's t-shirt")
    assert BASE.sentence_spans(ids) == [("A", [0]), ("dog's", [1, 2]), ("t-shirt", [3])]


def test_saved_and_loaded_is_the_same(tmp_path: Path) -> None:
    BASE.save(tmp_path)
    loaded = CaptionTokenizer.load(tmp_path)
    assert loaded.vocabulary_hash() == BASE.vocabulary_hash()
    assert loaded.encode("The dog\u2019s t-shirt") == BASE.encode("The dog\u2019s t-shirt")


def test_hash_depends_on_the_order() -> None:
    one, two = CaptionTokenizer.train(["a a b"]), CaptionTokenizer.train(["a b b"])
    assert one.vocabulary_hash() != two.vocabulary_hash()


def test_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("{")
    with pytest.raises(ValueError, match=r"tokenizer\.json cannot be read"):
        CaptionTokenizer.load(tmp_path)
