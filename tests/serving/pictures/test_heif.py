"""HEIC pictures, the format of iPhones, where the optional package pillow-heif is installed."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from models.api.preprocessing import PreprocessSpec
from models.pictures.kinds import FORMATS, READABLE
from models.pictures.sizing import to_pixels
from serving.base.problems import Problem
from serving.pictures.images import decode
from tests.drawings import draw

pillow_heif = pytest.importorskip(
    "pillow_heif", reason="no pillow-heif: pip install -r requirements-dev.lock"
)

SPEC = PreprocessSpec(height=32, width=32)
LIMIT = 1_000_000


def heic(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "HEIF", quality=95, **options)
    return buffer.getvalue()


def test_it_is_read_and_spoken_of() -> None:
    assert "HEIF" in FORMATS and "HEIC" in READABLE
    image = draw("red ring", 97)
    pixels, info = decode(heic(image), SPEC, LIMIT)
    assert (info.width, info.height, info.format) == (97, 97, "HEIF")
    assert np.abs(pixels.astype(int) - to_pixels(image, SPEC)).mean() < 4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_it_is_turned_upright_once(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    wide = draw("red bar", 96).resize((96, 48))
    pixels, info = decode(heic(wide, exif=exif.tobytes()), SPEC, LIMIT)
    turned = orientation >= 5
    assert (info.width, info.height) == ((48, 96) if turned else (96, 48))
    red = pixels[0].astype(int) - pixels[2]
    across, down = red.mean(1).std(), red.mean(0).std()
    assert (down > across) == turned, "the bar lies the wrong way"


def test_of_several_pictures_it_is_the_first() -> None:
    several = pillow_heif.from_pillow(draw("red ring", 96))
    several.add_from_pillow(draw("blue bar", 96))
    buffer = io.BytesIO()
    several.save(buffer, quality=95)
    pixels, _ = decode(buffer.getvalue(), SPEC, LIMIT)
    assert np.abs(pixels.astype(int) - to_pixels(draw("red ring", 96), SPEC)).mean() < 4


@pytest.mark.parametrize("part", range(1, 32))
def test_truncations(part: int) -> None:
    data = heic(draw("red ring", 96))
    with pytest.raises(Problem) as error:
        decode(data[: len(data) * part // 32], SPEC, LIMIT)
    assert error.value.type_slug == "broken-image"


def test_the_limit_on_pixels() -> None:
    with pytest.raises(Problem, match="1200 x 1200"):
        decode(heic(Image.new("RGB", (1200, 1200))), SPEC, LIMIT)
