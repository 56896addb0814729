"""Twelve real photographs: every family's pixels are those of its own processor in transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from transformers import (
    BlipImageProcessorPil,
    CLIPImageProcessorPil,
    SiglipImageProcessorPil,
    ViTImageProcessorPil,
)

from models.api.preprocessing import PreprocessSpec
from models.checkpoints.preprocessor_config import read_spec
from models.pictures.sizing import read_rgb, to_pixels
from tests.server import ROOT

DATA = ROOT.parent / "shared" / "data" / "coco-mini"
COUNT = 12

CLIP = {"size": {"shortest_edge": 224}, "crop_size": {"height": 224, "width": 224}, "resample": 3}
SQUARE = {"height": 384, "width": 384}

PROCESSORS: dict[str, tuple[type[Any], dict[str, Any]]] = {
    "blip": (BlipImageProcessorPil, {"size": SQUARE, "resample": 3}),
    "git": (CLIPImageProcessorPil, {**CLIP, "do_center_crop": True}),
    "llava": (
        CLIPImageProcessorPil,
        {
            "size": {"shortest_edge": 336},
            "crop_size": {"height": 336, "width": 336},
            "do_center_crop": True,
            "resample": 3,
        },
    ),
    "kosmos-2": (
        CLIPImageProcessorPil,
        {**CLIP, "do_center_crop": True, "use_square_size": True},
    ),
    "a wider edge, cropped": (
        CLIPImageProcessorPil,
        {**CLIP, "size": {"shortest_edge": 256}, "do_center_crop": True},
    ),
    "an edge that does not fill": (
        CLIPImageProcessorPil,
        {**CLIP, "size": {"shortest_edge": 201}, "do_center_crop": True},
    ),
    "florence-2": (
        CLIPImageProcessorPil,
        {
            "size": {"height": 768, "width": 768},
            "crop_size": {"height": 768, "width": 768},
            "do_center_crop": False,
            "resample": 3,
        },
    ),
    "paligemma": (
        SiglipImageProcessorPil,
        {"size": {"height": 224, "width": 224}, "resample": 3},
    ),
    "vit-gpt2": (ViTImageProcessorPil, {"size": {"height": 224, "width": 224}, "resample": 2}),
}
"""Family to its processor and the settings that its checkpoints are published with."""


@pytest.fixture(scope="module")
def photographs() -> list[Path]:
    found = sorted(DATA.glob("val2017/*.jpg"))[:COUNT]
    if len(found) < COUNT:
        pytest.skip(f"no photographs in {DATA}")
    return found


@pytest.mark.parametrize("name", PROCESSORS)
def test_pixels_are_those_of_its_own_processor(photographs: list[Path], name: str) -> None:
    kind, settings = PROCESSORS[name]
    spec = read_spec(settings)
    processor = kind(**settings, do_rescale=False, do_normalize=False, do_convert_rgb=True)
    for path in photographs:
        image = read_rgb(path.read_bytes())
        expected = np.asarray(processor(image)["pixel_values"][0])
        assert np.array_equal(to_pixels(image, spec), expected), path.name


def test_a_picture_of_one_row_is_cropped_without_being_made_whole() -> None:
    """The row would be 280 million pixels long."""
    row = np.zeros((1, 20_000, 3), np.uint8)
    row[:, 10_000:] = 255
    spec = PreprocessSpec(fit="crop", height=224, width=224)
    pixels = to_pixels(Image.fromarray(row), spec)
    assert pixels.shape == (3, 224, 224)
    assert 100 < pixels.mean() < 156


@pytest.mark.parametrize("size", [(300, 201), (201, 300), (97, 500), (500, 97), (31, 30)])
@pytest.mark.parametrize("edge", [None, 40, 64])
def test_crops_of_drawn_pictures_are_clips(size: tuple[int, int], edge: int | None) -> None:
    random = np.random.default_rng(0)
    image = Image.fromarray(random.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
    spec = PreprocessSpec(fit="crop", height=48, width=48, crop_edge=edge)
    processor = CLIPImageProcessorPil(
        size={"shortest_edge": edge or 48},
        crop_size={"height": 48, "width": 48},
        do_rescale=False,
        do_normalize=False,
    )
    expected = np.asarray(processor(image)["pixel_values"][0])
    assert np.array_equal(to_pixels(image, spec), expected)
