"""Every kind of picture becomes upright 8-bit RGB of the right size."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from models.api.preprocessing import PreprocessSpec, normalisation
from models.pictures import rgb
from models.pictures.sizing import resize, to_pixels, to_rgb, to_size

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


# --- to_size: large pictures, tile by tile --------------------------------------------------------

FITS = ("squash", "crop", "pad", "multiple")
MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "I;16", "I", "F")


def photograph(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """Something with edges and gradients at every place."""
    y, x = np.mgrid[0:height, 0:width]
    red, green = x * 255 // max(1, width - 1), y * 255 // max(1, height - 1)
    blue = ((x // 7 + y // 5) % 2) * 255
    rgb = Image.fromarray(np.dstack([red, green, blue]).astype(np.uint8))
    grey = np.asarray(rgb.convert("L"))
    if mode == "I;16":
        return Image.fromarray(grey.astype(np.uint16) * 257)
    if mode == "I":
        return Image.fromarray(grey.astype(np.int32) * 1000)
    if mode == "F":
        return Image.fromarray(grey.astype(np.float32) / 255)
    if mode == "LAB":
        return Image.merge("LAB", rgb.split())
    image = rgb.convert(mode)
    if mode in ("RGBA", "LA"):
        image.putalpha(Image.fromarray(green.astype(np.uint8)))
    return image


def difference(image: Image.Image, spec: PreprocessSpec) -> float:
    """Mean difference, 0..255, from converting the whole picture first."""
    whole = np.asarray(resize(to_rgb(image), spec), np.int16)
    return float(np.abs(np.asarray(to_size(image, spec), np.int16) - whole).mean())


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rgb, "TILE_PIXELS", 10_000)
    monkeypatch.setattr(rgb, "TILE_COLUMNS", 128)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("mode", MODES)
def test_pictures_of_ordinary_size_come_out_the_same(mode: str, fit: str) -> None:
    spec = PreprocessSpec(height=32, width=48, fit=fit)
    assert difference(photograph(300, 201, mode), spec) == 0


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(601, 403), (37, 1500), (1500, 37), (97, 103)])
@pytest.mark.usefixtures("small_tiles")
def test_tiles_give_the_same_to_the_bit(mode: str, size: tuple[int, int]) -> None:
    assert difference(photograph(*size, mode), PreprocessSpec(height=32, width=48)) == 0
    assert to_rgb(photograph(*size, mode)).tobytes() == whole_rgb(photograph(*size, mode))


def whole_rgb(image: Image.Image) -> bytes:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rgb, "TILE_PIXELS", 10**9)
        return to_rgb(image).tobytes()


@pytest.mark.parametrize("fit", ["crop", "pad", "multiple"])
@pytest.mark.parametrize("size", [(1601, 1403), (1300, 2900), (3000, 50)])
def test_cropped_and_padded_tiles_hardly_differ(fit: str, size: tuple[int, int]) -> None:
    assert difference(photograph(*size), PreprocessSpec(height=160, width=160, fit=fit)) < 2


@pytest.mark.parametrize("orientation", [2, 3, 5, 6])
@pytest.mark.parametrize("fit", FITS)
def test_turned_tiles_hardly_differ(orientation: int, fit: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = reopened(photograph(1601, 1403), "TIFF", exif=exif)
    assert difference(image, PreprocessSpec(height=160, width=170, fit=fit)) < 2


@pytest.mark.parametrize("mode", ["P", "L", "RGB", "1"])
@pytest.mark.usefixtures("small_tiles")
def test_transparency_is_known_to_every_tile(mode: str) -> None:
    image = Image.new(mode, (400, 300), 0)
    transparent = (0, 0, 0) if mode == "RGB" else 0
    shown = to_size(reopened(image, "PNG", transparency=transparent), PreprocessSpec())
    assert shown.getextrema() == ((255, 255),) * 3


@pytest.mark.usefixtures("small_tiles")
def test_the_range_of_grey_values_is_that_of_the_whole_picture() -> None:
    values = np.zeros((300, 300), np.float32)
    values[299, 299] = 200.0
    values[:, :150] = 1.0
    assert difference(Image.fromarray(values), PreprocessSpec(height=32, width=32)) == 0


def test_a_large_jpeg_at_a_reduced_scale_looks_the_same() -> None:
    spec = PreprocessSpec()
    image = photograph(3000, 2000).resize((3000, 2000), Image.Resampling.BICUBIC)
    drafted = reopened(image, "JPEG", quality=90)
    shown = np.asarray(to_size(drafted, spec), np.int16)
    assert drafted.size == (750, 500)
    whole = np.asarray(resize(to_rgb(reopened(image, "JPEG", quality=90)), spec), np.int16)
    assert np.abs(shown - whole).mean() < 2


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("size", [(1, 1), (1, 20_000), (20_000, 1), (2_000_000, 1), (1, 2_000_000)])
def test_pictures_of_odd_shapes(fit: str, size: tuple[int, int]) -> None:
    shown = to_pixels(Image.new("RGB", size, RED), PreprocessSpec(height=64, width=48, fit=fit))
    assert shown.shape == (3, 64, 48)
    assert shown[0].max() == 255 and shown[1].max() == 0


def test_pad_is_pils() -> None:
    for size in [(300, 200), (200, 300), (40, 30), (31, 97), (48, 64)]:
        padded = resize(photograph(*size), PreprocessSpec(height=64, width=48, fit="pad"))
        pils = ImageOps.pad(photograph(*size), (48, 64), Image.Resampling.BICUBIC, color="black")
        assert padded.tobytes() == pils.tobytes()
