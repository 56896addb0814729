"""Trunk features on disk: found again, and only where they were made from the same."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.api.preprocessing import PreprocessSpec
from models.captioners.cnn_transformer.tokenizer import CaptionTokenizer
from training.data.coco import CaptionedImage, DataError
from training.data.dataset import CaptionDataset, stack_pictures
from training.data.feature_cache import FeatureCache
from training.data.pictures import PictureReader
from training.recipes.recipe import Augmentation

SHAPE = (4, 3)
MADE_BY = {"trunk_sha256": "a", "seed": 1}


@pytest.fixture
def images(tmp_path: Path) -> list[CaptionedImage]:
    out = []
    for number in range(3):
        path = tmp_path / f"{number}.png"
        Image.new("RGB", (32, 32), (40 * number, 90, 10)).save(path)
        out.append(CaptionedImage(number, path, ("a grey square",)))
    return out


def features(value: float) -> np.ndarray:
    return np.full(SHAPE, value, np.float16)


def test_what_was_put_is_found_by_picture_and_view(
    images: list[CaptionedImage], tmp_path: Path
) -> None:
    cache = FeatureCache(tmp_path / "c", images, 2, SHAPE, MADE_BY)
    assert cache.missing(0) == cache.missing(1) == [0, 1, 2]
    cache.put(1, 0, features(1.5))
    cache.put(1, 1, features(2.5))
    assert cache.missing(0) == cache.missing(1) == [0, 2]
    for again in (
        FeatureCache(tmp_path / "c", images, 2, SHAPE, MADE_BY),
        pickle.loads(pickle.dumps(cache)),
    ):
        assert (again.get(1, 0) == 1.5).all() and (again.get(1, 1) == 2.5).all()
        assert again.get(1, 0).shape == SHAPE and again.get(1, 0).dtype == np.float16
    with pytest.raises(DataError, match="no features of picture 2 in view 1"):
        cache.get(2, 1)


def test_a_changed_picture_has_no_features(images: list[CaptionedImage], tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path / "c", images, 1, SHAPE, MADE_BY)
    cache.put(0, 0, features(1))
    os.utime(images[0].path, (1, 1))
    again = FeatureCache(tmp_path / "c", images, 1, SHAPE, MADE_BY)
    assert again.folder == cache.folder
    assert again.missing(0) == [0, 1, 2]
    with pytest.raises(DataError):
        again.get(0, 0)


def test_other_weights_views_or_pictures_have_another_cache(
    images: list[CaptionedImage], tmp_path: Path
) -> None:
    folders = [
        FeatureCache(tmp_path / "c", *rest).folder
        for rest in (
            (images, 1, SHAPE, MADE_BY),
            (images, 2, SHAPE, MADE_BY),
            (images[:2], 1, SHAPE, MADE_BY),
            (images, 1, (4, 4), MADE_BY),
            (images, 1, SHAPE, {**MADE_BY, "trunk_sha256": "b"}),
        )
    ]
    assert len(set(folders)) == 5


def test_a_data_set_shows_the_views_in_turn(images: list[CaptionedImage], tmp_path: Path) -> None:
    tokenizer = CaptionTokenizer.train(["a grey square"])
    reader = PictureReader(PreprocessSpec(height=32, width=32))
    data = CaptionDataset(images, tokenizer, reader, Augmentation(flip=0.5), 1, 8, 1)
    assert stack_pictures([data[0]])["pixels"].shape == (1, 3, 32, 32)
    cache = FeatureCache(tmp_path / "c", images, 2, SHAPE, MADE_BY)
    for picture in range(3):
        for view in range(2):
            cache.put(picture, view, features(10 * picture + view))
    data.features = cache
    for epoch, view in ((0, 0), (1, 1), (2, 0)):
        data.set_epoch(epoch)
        batch = stack_pictures([data[0], data[2]])
        assert batch.keys() == {"features"}
        assert batch["features"][:, 0, 0].tolist() == [view, 20 + view]
        assert data[0].captions == [tokenizer.encode("a grey square")]


def test_a_picture_without_features_is_replaced(
    images: list[CaptionedImage], tmp_path: Path
) -> None:
    tokenizer = CaptionTokenizer.train(["a grey square"])
    reader = PictureReader(PreprocessSpec(height=32, width=32))
    data = CaptionDataset(images, tokenizer, reader, Augmentation(), 1, 8, 1)
    data.features = FeatureCache(tmp_path / "c", images, 1, SHAPE, MADE_BY)
    data.features.put(2, 0, features(7))
    assert data[0].index == 2
    assert data.unreadable >= 1
