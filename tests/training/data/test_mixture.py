"""Weights of data sets: how many pictures a pass shows, which, and how the command line says it."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data.coco import DataError
from training.data.mixture import DataSource, Mixture, described

PARTS = st.lists(st.tuples(st.integers(1, 40), st.floats(0.5, 5)), min_size=1, max_size=4)


@given(parts=PARTS, seed=st.integers(0, 2**32 - 1), epoch=st.integers(0, 1000))
def test_a_pass_shows_what_the_weights_say(
    parts: list[tuple[int, float]], seed: int, epoch: int
) -> None:
    sizes, weights = zip(*parts, strict=True)
    mixture = Mixture(sizes, weights, seed)
    pictures, repetitions = mixture.epoch(epoch)
    assert len(pictures) == len(repetitions) == len(mixture)
    assert len(set(zip(pictures.tolist(), repetitions.tolist(), strict=True))) == len(mixture)
    first = 0
    for size, weight in parts:
        counts = np.bincount(pictures[(pictures >= first) & (pictures < first + size)] - first)
        counts = np.pad(counts, (0, size - len(counts)))
        assert counts.sum() == pytest.approx(size * weight, abs=0.5 + 1e-9)
        assert counts.max() - counts.min() <= 1
        first += size
    again, _ = Mixture(sizes, weights, seed).epoch(epoch)
    assert np.array_equal(pictures, again)


def test_weight_one_changes_nothing() -> None:
    pictures, repetitions = Mixture((3, 4), (1.0, 1.0), 7).epoch(5)
    assert pictures.tolist() == list(range(7))
    assert repetitions.tolist() == [0] * 7


def test_half_is_another_half_each_time() -> None:
    mixture = Mixture((10, 40), (1.0, 0.5), 1)
    assert len(mixture) == 30
    passes = [set(mixture.epoch(epoch)[0].tolist()) - set(range(10)) for epoch in range(8)]
    assert all(len(shown) == 20 for shown in passes)
    assert len({frozenset(shown) for shown in passes}) == 8
    assert set().union(*passes) == set(range(10, 50))
    other = Mixture((10, 40), (1.0, 0.5), 2).epoch(0)[0]
    assert set(other.tolist()) - set(range(10)) != passes[0]


def test_weight_that_leaves_nothing() -> None:
    with pytest.raises(DataError, match=r"weight 0\.01 of 20 pictures leaves none"):
        Mixture((100, 20), (1.0, 0.01), 1)


@pytest.mark.parametrize(
    ("text", "folder", "weight"),
    [
        ("data/coco", "data/coco", 1.0),
        ("data/coco=0.5", "data/coco", 0.5),
        ("data=x/coco=2", "data=x/coco", 2.0),
        ("=2", "=2", 1.0),
    ],
)
def test_command_line(text: str, folder: str, weight: float) -> None:
    assert DataSource.parse(text) == DataSource(Path(folder), weight)


def test_folder_with_an_equals_sign(tmp_path: Path) -> None:
    (tmp_path / "a=3").mkdir()
    assert DataSource.parse(f"{tmp_path}/a=3") == DataSource(tmp_path / "a=3")
    assert DataSource.parse(f"{tmp_path}/a=3=2").weight == 2


@pytest.mark.parametrize("weight", ["0", "-1", "nan", "inf", "101", "much", ""])
def test_bad_weights(weight: str) -> None:
    with pytest.raises(DataError, match=f"data={weight}: the weight must be"):
        DataSource.parse(f"data={weight}")


def test_card_names_only_other_weights() -> None:
    assert described([1.0, 0.5, 2.0]) == ["", ", weight 0.5", ", weight 2"]
