"""Training batches: targets, repeatable randomness, unreadable pictures."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.cnn_transformer import IGNORED
from models.cnn_transformer_config import BOS_ID, EOS_ID, PAD_ID
from models.preprocessing import PreprocessSpec
from models.tokenizer import CaptionTokenizer
from training.augmentation import augment
from training.coco import CaptionedImage, DataError, load_split
from training.dataset import CaptionDataset, TrainingItem, collate, read_picture
from training.recipe import Augmentation

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
    spec = PreprocessSpec(height=64, width=64)
    return CaptionDataset(data.images, tokenizer, spec, **settings)  # type: ignore[arg-type]


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


def test_unreadable_picture_is_named(tmp_path: Path) -> None:
    path = tmp_path / "broken.jpg"
    path.write_bytes(b"\xff\xd8\xff nothing")
    with pytest.raises(DataError, match=r"broken\.jpg: cannot be read as a picture"):
        read_picture(CaptionedImage(1, path, ("x",)))
    with pytest.raises(DataError, match=r"gone\.jpg"):
        read_picture(CaptionedImage(1, tmp_path / "gone.jpg", ("x",)))
