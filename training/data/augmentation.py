"""Random changes of training pictures, repeatable from (seed, epoch, picture)."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageEnhance

from training.recipes.recipe import Augmentation


def augment(image: Image.Image, settings: Augmentation, random: np.random.Generator) -> Image.Image:
    """Return a randomly changed RGB picture of the same size.

    Args:
        image: RGB.
        settings: what may change and how far.
        random: source of all randomness; the same state gives the same picture.
    """
    if settings.flip and random.random() < settings.flip:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if settings.rotate:
        angle = 360 * random.uniform(-settings.rotate, settings.rotate)
        image = image.rotate(angle, Image.Resampling.BILINEAR)
    if settings.min_crop < 1:
        image = image.resize(
            image.size, Image.Resampling.BICUBIC, box=_crop_box(image.size, settings, random)
        )
    for amount, enhancer in (
        (settings.brightness, ImageEnhance.Brightness),
        (settings.contrast, ImageEnhance.Contrast),
    ):
        if amount:
            image = enhancer(image).enhance(1 + random.uniform(-amount, amount))
    return image


def _crop_box(
    size: tuple[int, int], settings: Augmentation, random: np.random.Generator
) -> tuple[float, float, float, float]:
    """Draw a box of `min_crop`..1 of the area and an aspect within 4:5..5:4 of the picture's."""
    area = random.uniform(settings.min_crop, 1)
    aspect = math.exp(random.uniform(math.log(4 / 5), math.log(5 / 4)))
    width = min(1.0, math.sqrt(area * aspect))
    height = min(1.0, math.sqrt(area / aspect))
    left, top = random.uniform(0, 1 - width), random.uniform(0, 1 - height)
    return (
        left * size[0],
        top * size[1],
        (left + width) * size[0],
        (top + height) * size[1],
    )
