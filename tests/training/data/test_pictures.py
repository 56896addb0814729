"""Pictures that are missing, empty, cut off or no pictures: named, left out, counted."""

import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.api.captioner import Captioner
from models.api.options import CaptionOptions
from models.api.preprocessing import PreprocessSpec
from models.api.results import Caption
from training.data.coco import CaptionData, CaptionedImage, DataError, load_split
from training.data.pictures import PictureReader, read_picture, without_unreadable
from training.loop.captioning import caption_images

SPEC = PreprocessSpec(height=64, width=64)


def break_pictures(root: Path) -> None:
    """Spoil four of the twelve training pictures, one of them where only decoding shows it."""
    images = root / "images"
    (images / "train-2.png").unlink()
    (images / "train-3.png").write_bytes(b"")
    (images / "train-4.png").write_bytes(b"<html>404</html>")
    cut = (images / "train-5.png").read_bytes()
    (images / "train-5.png").write_bytes(cut[: len(cut) // 2])


@pytest.fixture
def broken(shapes: Path, tmp_path: Path) -> Path:
    root = shutil.copytree(shapes, tmp_path / "broken")
    break_pictures(root)
    return root


def test_unreadable_picture_is_named(tmp_path: Path) -> None:
    path = tmp_path / "broken.jpg"
    path.write_bytes(b"\xff\xd8\xff nothing")
    with pytest.raises(DataError, match=r"broken\.jpg: cannot be read as a picture"):
        read_picture(CaptionedImage(1, path, ("x",)))
    with pytest.raises(DataError, match=r"gone\.jpg"):
        read_picture(CaptionedImage(1, tmp_path / "gone.jpg", ("x",)))


def test_too_many_pixels_is_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("L", (100, 100)).save(tmp_path / "big.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(DataError, match=r"big\.png: .* exceeds limit"):
        read_picture(CaptionedImage(1, tmp_path / "big.png", ("x",)))


def test_left_out_by_name_and_counted(broken: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = load_split(broken, "train")
    kept = without_unreadable(data, 0.5)
    assert [image.image_id for image in kept.images] == [1, *range(5, 13)]
    assert [fault.image.image_id for fault in kept.unreadable] == [2, 3, 4]
    assert kept.all_images == data.images
    assert "train-2.png: left out: No such file" in caplog.text
    assert "train-4.png: left out: The file is not a picture that is known here" in caplog.text
    assert "broken/train: left out 3 of 12 pictures" in caplog.text


def test_too_many_fail(broken: Path, caplog: pytest.LogCaptureFixture) -> None:
    message = r"broken/train: 3 of 12 pictures cannot be read \(25\.0%\); at most 1\.0% may be"
    with pytest.raises(DataError, match=message):
        without_unreadable(load_split(broken, "train"))
    assert "train-2.png" in caplog.text


def test_nothing_wrong_nothing_said(shapes: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    data = load_split(shapes, "train")
    assert without_unreadable(data, 0) is data
    assert not caplog.records


def test_a_thousand_are_not_all_named_when_the_run_fails(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    images = tuple(CaptionedImage(i, tmp_path / f"{i}.jpg", ("x",)) for i in range(1000))
    with pytest.raises(DataError, match="1000 of 1000"):
        without_unreadable(CaptionData("many", images))
    assert len(caplog.records) == 20


class Namer(Captioner):
    """Says how bright a picture is."""

    method = "namer"
    honours = frozenset()
    preprocess = SPEC

    @classmethod
    def load(cls, directory: Path) -> Any:
        raise NotImplementedError

    def caption(self, pixels: Any, options: CaptionOptions) -> list[list[Caption]]:
        self.check_pixels(pixels)
        assert pixels.flags.c_contiguous
        return [
            [Caption(text=str(int(picture.mean())), log_prob=0.0, confidence=1.0)]
            for picture in pixels
        ]


def test_evaluation_leaves_out_what_it_cannot_decode(
    broken: Path, caplog: pytest.LogCaptureFixture
) -> None:
    images = without_unreadable(load_split(broken, "train"), 0.5).images
    found = caption_images(Namer(), images, CaptionOptions(), 2, max_unreadable=0.2)
    assert sorted(found) == [1, *range(6, 13)]
    assert "train-5.png: cannot be read as a picture" in caplog.text
    with pytest.raises(DataError, match="1 of 9 pictures cannot be read"):
        caption_images(Namer(), images, CaptionOptions())
    with pytest.raises(DataError, match="none of the 1 pictures"):
        caption_images(Namer(), images[1:2], CaptionOptions(), max_unreadable=1)


def test_reader_gives_what_serving_sees(shapes: Path) -> None:
    from models.pictures.sizing import to_pixels

    image = load_split(shapes, "val").images[0]
    with Image.open(image.path) as opened:
        served = to_pixels(opened, SPEC)
    assert np.array_equal(PictureReader(SPEC)(image).transpose(2, 0, 1), served)
