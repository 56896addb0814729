"""A small data set of drawn shapes in COCO format, and what it takes to train on it in seconds."""

import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from tests.threads import serving
from tests.training.bad_server import Server

COLOURS = {"red": (220, 30, 30), "blue": (30, 60, 220), "green": (30, 170, 60)}
SHAPES = ("circle", "square")
BACKGROUNDS = {"white": (250, 250, 250), "black": (5, 5, 5)}

TINY = (
    "model.backbone=tiny",
    "model.image_height=64",
    "model.image_width=64",
    "model.d_model=32",
    "model.head_dim=16",
    "model.encoder_heads=2",
    "model.decoder_heads=2",
    "model.decoder_layers=1",
    "model.ffn_dim=32",
    "min_word_count=1",
    "batch_images=6",
    "bf16=off",
)
"""Overrides that make any recipe tiny."""


def draw(colour: str, shape: str, background: str) -> Image.Image:
    image = Image.new("RGB", (96, 80), BACKGROUNDS[background])
    pen = ImageDraw.Draw(image)
    box = (20, 12, 76, 68)
    (pen.ellipse if shape == "circle" else pen.rectangle)(box, fill=COLOURS[colour])
    return image


def write_shapes(root: Path, splits: Sequence[str] = ("train", "val")) -> Path:
    """Write the data set in the plain layout and return its folder."""
    (root / "images").mkdir(parents=True)
    (root / "annotations").mkdir()
    for split in splits:
        images, annotations = [], []
        for number, (colour, shape, background) in enumerate(
            itertools.product(COLOURS, SHAPES, BACKGROUNDS), 1
        ):
            name = f"{split}-{number}.png"
            image = draw(colour, shape, background)
            image.save(root / "images" / name)
            images.append({"id": number, "file_name": name, "width": 96, "height": 80})
            for caption in (
                f"A {colour} {shape} on a {background} background.",
                f"there is a {colour} {shape}",
            ):
                annotations.append(
                    {"id": len(annotations) + 1, "image_id": number, "caption": caption}
                )
        (root / "annotations" / f"captions_{split}.json").write_text(
            json.dumps({"images": images, "annotations": annotations})
        )
    return root


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shapes(tmp_path_factory.mktemp("shapes") / "shapes")


@pytest.fixture(scope="session")
def tiny_overrides() -> list[str]:
    return list(TINY)


@pytest.fixture
def bad_server() -> Iterator[Server]:
    found = Server()
    with serving(found):
        yield found
