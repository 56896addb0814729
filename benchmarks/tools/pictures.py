"""Pictures to send: drawn, with the detail of photographs, so that decoding costs as much."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

SIZES = {"640x480": (640, 480), "1600x1200": (1600, 1200), "12MP": (4000, 3000)}
"""Name to width and height."""


def draw(width: int, height: int, seed: int) -> Image.Image:
    """Return a picture of soft shapes and fine grain."""
    random = np.random.default_rng(seed)
    small = random.integers(0, 256, (height // 40, width // 40, 3), dtype=np.uint8)
    image = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
    grain = random.normal(0, 10, (height, width, 1)).astype(np.float32)
    noisy = np.clip(np.asarray(image, np.float32) + grain, 0, 255).astype(np.uint8)
    return Image.fromarray(noisy).filter(ImageFilter.GaussianBlur(0.8))


def write_pictures(folder: Path, count: int = 8) -> dict[str, Path]:
    """Write JPEG files (quality 90), `count` a size; return a folder for each of `SIZES`."""
    folders = {}
    for name, (width, height) in SIZES.items():
        folders[name] = folder / name
        folders[name].mkdir(parents=True, exist_ok=True)
        for index in range(count):
            path = folders[name] / f"{index}.jpg"
            if not path.is_file():
                draw(width, height, index).save(path, quality=90)
    return folders
