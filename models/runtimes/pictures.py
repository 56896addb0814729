"""Pictures that show a network what to expect: to fit int8 to them, or to take its time with.

A folder's, or drawn ones where nobody has given any.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.api.preprocessing import PreprocessSpec
from models.pictures.kinds import PictureError, endings
from models.pictures.sizing import read_rgb, to_pixels

_MOST = 128

Pixels = NDArray[np.uint8]


def read_pictures(folder: Path, spec: PreprocessSpec) -> Pixels:
    """Read at most `_MOST` pictures of a folder, spread over it.

    Returns:
        `uint8 [P, 3, H, W]`, P >= 1.

    Raises:
        ValueError: there is no picture in it, or one cannot be read.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in endings())
    if not paths:
        raise ValueError(f"no picture in {folder}")
    out = []
    for index in np.linspace(0, len(paths) - 1, min(len(paths), _MOST)).astype(int):
        try:
            out.append(to_pixels(read_rgb(paths[index].read_bytes(), spec), spec))
        except (OSError, PictureError) as error:
            raise ValueError(f"{paths[index].name} cannot be read: {error}") from error
    return np.stack(out)


def draw_pictures(height: int, width: int, count: int = 32) -> Pixels:
    """Draw pictures with the spectrum of photographs (power falls with the square of frequency).

    Half of them have a few plain rectangles on top; brightness and contrast vary.

    Returns:
        `uint8 [count, 3, height, width]`, always the same.
    """
    random = np.random.default_rng(0)
    rows = np.fft.fftfreq(height)[:, None]
    columns = np.fft.fftfreq(width)[None, :]
    frequency = np.maximum(np.hypot(rows, columns), 1 / max(height, width))
    out = np.empty((count, 3, height, width), np.uint8)
    for index in range(count):
        spectrum = np.fft.fft2(random.normal(size=(3, height, width))) / frequency
        noise = np.fft.ifft2(spectrum).real
        noise -= noise.mean((1, 2), keepdims=True)
        noise /= noise.std() + 1e-6
        grey = noise.mean(0, keepdims=True)  # the channels of photographs go together
        mixed = 0.3 * noise + 0.9 * grey
        picture = random.uniform(70, 180) + random.uniform(20, 70) * mixed
        for _ in range(4 * (index % 2)):
            top, left = random.integers(0, height), random.integers(0, width)
            box = slice(top, top + height // 3), slice(left, left + width // 3)
            picture[(slice(None), *box)] = random.uniform(0, 255, (3, 1, 1))
        out[index] = picture.clip(0, 255)
    return out
