"""Different captions: what counts as a repeat, and how long more are looked for."""

from collections.abc import Sequence

import pytest

from models.decoding.candidates import ROUNDS, distinct_candidates, normalised

Candidate = tuple[str, float]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("A dog runs.", "a dog  runs", True),
        ("A dog, running!", "a dog running", True),
        ("Ａ dog", "a dog", True),
        ("A man's hat", "A mans hat", False),
        ("A dog", "A dogs", False),
        ("two_dogs", "Two dogs", True),
    ],
)
def test_case_spacing_and_punctuation_make_no_difference(one: str, other: str, same: bool) -> None:
    assert (normalised(one) == normalised(other)) is same


def find(
    rounds: list[dict[int, list[Candidate]]], batch: int, wanted: int
) -> tuple[list[list[Candidate]], list[list[int]]]:
    """Run a search whose rounds give what they are told to; return it and who was asked when."""
    asked: list[list[int]] = []

    def look(pictures: Sequence[int], attempt: int) -> list[list[Candidate]]:
        asked.append(list(pictures))
        return [rounds[attempt][picture] for picture in pictures]

    found = distinct_candidates(look, batch, wanted, lambda c: c[0], lambda c: c[1])
    return found, asked


def test_only_pictures_that_lack_captions_are_looked_at_again() -> None:
    first = {0: [("a", -1.0), ("A.", -2.0), ("b", -3.0)], 1: [("x", -1.0), ("X", -0.5)]}
    second = {1: [("x!", -0.1), ("y", -0.2), ("z", -9.0)]}
    found, asked = find([first, second], 2, 2)
    assert asked == [[0, 1], [1]]
    assert found == [[("a", -1.0), ("b", -3.0)], [("x!", -0.1), ("y", -0.2)]]


def test_the_search_ends_with_fewer_where_there_are_no_more() -> None:
    found, asked = find([{0: [("a", -1.0), ("A", -2.0)]}] * ROUNDS, 1, 5)
    assert len(asked) == ROUNDS
    assert found == [[("a", -1.0)]]


def test_one_caption_takes_one_round() -> None:
    found, asked = find([{0: [("a", -1.0)]}], 1, 1)
    assert (found, asked) == ([[("a", -1.0)]], [[0]])
