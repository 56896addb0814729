"""Every kind of picture becomes upright 8-bit RGB of the right size."""

import io

import numpy as np
import pytest
from PIL import Image

from models.preprocessing import PreprocessSpec, normalisation, resize, to_pixels, to_rgb

RED, BLUE = (255, 0, 0), (0, 0, 255)


def halves() -> Image.Image:
    """A 40 x 20 picture, left half red, right half blue."""
    image = Image.new("RGB", (40, 20), RED)
    image.paste(BLUE, (20, 0, 40, 20))
    return image


def reopened(image: Image.Image, kind: str, **options: object) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    buffer.seek(0)
    return Image.open(buffer)


def close(pixel: object, expected: tuple[int, int, int], tolerance: int = 12) -> bool:
    return bool(np.abs(np.subtract(pixel, expected)).max() <= tolerance)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(orientation: int) -> None:
    # What a camera stores for each orientation of the upright picture.
    stored = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    upright = halves()
    upright.paste((0, 255, 0), (0, 0, 20, 10))
    image = upright if stored is None else upright.transpose(stored)
    exif = Image.Exif()
    exif[0x0112] = orientation
    shown = to_rgb(reopened(image, "PNG", exif=exif))
    assert shown.size == (40, 20)
    assert shown.tobytes() == upright.tobytes()


@pytest.mark.parametrize("mode", ["RGB", "P", "CMYK", "YCbCr", "RGBA", "LAB", "HSV"])
def test_colour_modes_keep_their_colours(mode: str) -> None:
    shown = to_rgb(halves().convert("RGB").convert(mode) if mode != "LAB" else _lab())
    assert shown.mode == "RGB"
    if mode != "LAB":
        assert close(shown.getpixel((5, 5)), RED)
        assert close(shown.getpixel((35, 5)), BLUE)


def _lab() -> Image.Image:
    return Image.new("LAB", (8, 8), (128, 128, 128))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "I;16", "I", "F"])
def test_grey_modes_keep_their_order(mode: str) -> None:
    ramp = np.linspace(0, 255, 40).astype(np.uint8).reshape(1, 40).repeat(20, 0)
    if mode == "I;16":
        image = Image.fromarray(ramp.astype(np.uint16) * 257)
    elif mode == "I":
        image = Image.fromarray(ramp.astype(np.int32) * 257)
    elif mode == "F":
        image = Image.fromarray(ramp.astype(np.float32) / 255)
    else:
        image = Image.fromarray(ramp).convert(mode)
    shown = np.asarray(to_rgb(image))[10, :, 0].astype(int)
    assert shown[0] <= 5
    assert shown[-1] >= 250
    if mode != "1":
        assert (np.diff(shown) >= 0).all()
        assert abs(shown[20] - ramp[0, 20]) <= 2


def test_16_bit_png_file() -> None:
    image = Image.fromarray(np.full((8, 8), 40_000, np.uint16))
    shown = to_rgb(reopened(image, "PNG"))
    assert abs(shown.getpixel((4, 4))[0] - round(40_000 / 257)) <= 1


def test_transparent_pixels_show_white() -> None:
    image = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    assert to_rgb(reopened(image, "PNG")).getpixel((4, 4)) == (255, 255, 255)


def test_transparent_palette_shows_white() -> None:
    image = Image.new("P", (8, 8), 0)
    image.putpalette([10, 20, 30] + [0] * 765)
    assert to_rgb(reopened(image, "PNG", transparency=0)).getpixel((4, 4)) == (255, 255, 255)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_animations_show_their_first_frame(kind: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in (RED, BLUE, (0, 255, 0))]
    options = {"lossless": True} if kind == "WEBP" else {}
    image = reopened(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert getattr(image, "n_frames", 1) > 1
    image.seek(2)
    assert close(to_rgb(image).getpixel((8, 8)), RED)


def test_fit_squash_crop_and_pad() -> None:
    spec = {"height": 32, "width": 32, "resample": "bilinear"}
    squash = resize(halves(), PreprocessSpec(fit="squash", **spec))
    crop = resize(halves(), PreprocessSpec(fit="crop", **spec))
    pad = resize(halves(), PreprocessSpec(fit="pad", **spec))
    assert squash.size == crop.size == pad.size == (32, 32)
    assert close(squash.getpixel((2, 2)), RED)
    assert close(crop.getpixel((2, 2)), RED)
    assert pad.getpixel((16, 2)) == (0, 0, 0)
    assert close(pad.getpixel((2, 16)), RED)


def test_to_pixels_is_uint8_channels_first() -> None:
    pixels = to_pixels(halves(), PreprocessSpec(height=16, width=24))
    assert pixels.shape == (3, 16, 24)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert close(pixels[:, 8, 2], RED)
    assert close(pixels[:, 8, 21], BLUE)


def test_normalisation_is_what_torchvision_would_compute() -> None:
    spec = PreprocessSpec(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    scale, offset = normalisation(spec)
    expected = (200 / 255 - np.array(spec.mean)) / np.array(spec.std)
    np.testing.assert_allclose(200 * scale + offset, expected, rtol=1e-5)


def test_truncated_file_raises_what_is_documented() -> None:
    buffer = io.BytesIO()
    halves().resize((200, 200)).save(buffer, "JPEG")
    broken = Image.open(io.BytesIO(buffer.getvalue()[:-400]))
    with pytest.raises((OSError, SyntaxError, ValueError)):
        to_rgb(broken)
