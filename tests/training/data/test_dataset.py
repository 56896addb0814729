"""Training batches: targets, repeatable randomness, unreadable pictures."""

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch.utils.data import DataLoader

from models.api.preprocessing import PreprocessSpec
from models.captioners.cnn_transformer.tokenizer import (
    BOS_ID,
    EOS_ID,
    PAD_ID,
    UNK_ID,
    CaptionTokenizer,
)
from models.layers.network_protocol import IGNORED
from training.data.augmentation import augment
from training.data.coco import DataError, load_split
from training.data.dataset import CaptionDataset, Collate, TrainingItem
from training.data.mixture import Mixture
from training.data.pictures import PictureReader
from training.recipes.recipe import Augmentation

STRONG = Augmentation(flip=0.5, min_crop=0.5, rotate=0.1, brightness=0.3, contrast=0.3)


def dataset(shapes: Path, **changes: object) -> CaptionDataset:
    data = load_split(shapes, "train")
    settings: dict[str, object] = {
        "augmentation": STRONG,
        "captions_per_image": 1,
        "max_tokens": 20,
        "seed": 1,
        **changes,
    }
    tokenizer = CaptionTokenizer.train(data.captions)
    reader = PictureReader(PreprocessSpec(height=64, width=64))
    return CaptionDataset(data.images, tokenizer, reader, **settings)  # type: ignore[arg-type]


def same(one: TrainingItem, two: TrainingItem) -> bool:
    return one.captions == two.captions and np.array_equal(one.pixels, two.pixels)


def test_items_repeat_for_one_epoch_and_differ_between_epochs(shapes: Path) -> None:
    one, two = dataset(shapes), dataset(shapes)
    assert all(same(one[i], two[i]) for i in range(len(one)))
    two.set_epoch(1)
    assert not any(same(one[i], two[i]) for i in range(len(one)))
    two.set_epoch(0)
    assert same(one[3], two[3])
    assert not same(dataset(shapes, seed=2)[3], one[3])


def test_every_caption_is_drawn_sooner_or_later(shapes: Path) -> None:
    data = dataset(shapes)
    drawn = set()
    for epoch in range(20):
        data.set_epoch(epoch)
        drawn.add(tuple(data[0].captions[0]))
    assert len(drawn) == 2


def test_all_captions_where_there_are_not_more(shapes: Path) -> None:
    assert len(dataset(shapes, captions_per_image=5)[0].captions) == 2


def test_long_captions_are_cut(shapes: Path) -> None:
    assert len(dataset(shapes, max_tokens=3)[0].captions[0]) == 3


collate = Collate(BOS_ID, EOS_ID, PAD_ID, UNK_ID)


def test_collate_shifts_and_pads() -> None:
    picture = np.zeros((3, 4, 4), np.uint8)
    batch = collate([TrainingItem(picture, [[5, 6], [7]], 0), TrainingItem(picture + 1, [[8]], 1)])
    assert batch["pixels"].shape == (2, 3, 4, 4)
    assert batch["input_ids"].tolist() == [
        [[BOS_ID, 5, 6], [BOS_ID, 7, PAD_ID]],
        [[BOS_ID, 8, PAD_ID], [PAD_ID] * 3],
    ]
    assert batch["labels"].tolist() == [
        [[5, 6, EOS_ID], [7, EOS_ID, IGNORED]],
        [[8, EOS_ID, IGNORED], [IGNORED] * 3],
    ]


def test_augmentation_keeps_the_size_and_can_be_switched_off() -> None:
    image = Image.effect_noise((40, 30), 80).convert("RGB")
    random = np.random.default_rng(0)
    assert augment(image, STRONG, random).size == (40, 30)
    assert augment(image, Augmentation(), random) is image
    flipped = augment(image, Augmentation(flip=1), random)
    assert flipped.transpose(Image.Transpose.FLIP_LEFT_RIGHT).tobytes() == image.tobytes()


def test_unreadable_pictures_are_replaced_the_same_way_every_time(
    shapes: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = shutil.copytree(shapes, tmp_path / "shapes")
    for number in (2, 5):
        (root / "images" / f"train-{number}.png").write_bytes(b"\x89PNG nothing")
    one, two = dataset(root), dataset(root)
    whole = dataset(shapes)
    for epoch in range(3):
        for data in (one, two, whole):
            data.set_epoch(epoch)
        for index in range(12):
            assert same(one[index], two[index])
            if index in (1, 4):
                assert one[index].index not in (1, 4)
            else:
                assert same(one[index], whole[index])
    assert one.unreadable == 2
    # Once by each data set, not once an epoch.
    assert caplog.text.count("train-2.png") == 2
    # Which one comes instead changes from pass to pass.
    others = set()
    for epoch in range(20):
        one.set_epoch(epoch)
        others.add(one[1].index)
    assert len(others) > 3


def test_workers_count_for_the_trainer(shapes: Path, tmp_path: Path) -> None:
    root = shutil.copytree(shapes, tmp_path / "shapes")
    (root / "images" / "train-2.png").write_bytes(b"")
    data = dataset(root)
    assert sum(len(items) for items in DataLoader(data, 4, num_workers=1, collate_fn=list)) == 12
    assert data.unreadable == 1


def test_nothing_readable_ends_it(shapes: Path, tmp_path: Path) -> None:
    root = shutil.copytree(shapes, tmp_path / "shapes")
    for path in (root / "images").iterdir():
        path.write_bytes(b"")
    with pytest.raises(DataError, match="100 pictures in a row"):
        dataset(root)[0]


def test_weights_repeat_pictures_differently(shapes: Path) -> None:
    data = dataset(shapes, mixture=Mixture((12,), (2.5,), 1), captions_per_image=2)
    assert len(data) == 30
    items = [data[index] for index in range(30)]
    counts = Counter(item.index for item in items)
    assert set(counts.values()) == {2, 3}
    first, second = (item for item in items[:24] if item.index == 3)
    assert not np.array_equal(first.pixels, second.pixels)
    # The first of them is what it would be without weights.
    assert same(first, dataset(shapes, captions_per_image=2)[3])


def test_unknown_words_are_no_targets(shapes: Path) -> None:
    captions = load_split(shapes, "train").captions
    known = CaptionTokenizer.train(captions, min_count=13)
    data = CaptionDataset(
        load_split(shapes, "train").images,
        known,
        PictureReader(PreprocessSpec(height=64, width=64)),
        Augmentation(),
        captions_per_image=1,
        max_tokens=20,
        seed=1,
    )
    batch = collate([data[0]])
    assert UNK_ID in batch["input_ids"]
    assert UNK_ID not in batch["labels"]
