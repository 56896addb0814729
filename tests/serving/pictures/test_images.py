"""Image intake: every kind of picture is read, every kind of bad file is refused with a 4xx."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from models.api.preprocessing import PreprocessSpec
from models.pictures.kinds import FORMATS, HEIF
from models.pictures.sizing import to_pixels
from serving.base.problems import Problem
from serving.pictures import open_picture
from serving.pictures.images import decode
from tests.drawings import draw, encode

# Pillow warns of damaged metadata and of sizes that are refused here anyway.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")

SPEC = PreprocessSpec(height=32, width=32)
MAX_PIXELS = 1_000_000
PICTURE = draw("red ring", 48)
OTHER = draw("blue bar", 48)


def exif(orientation: int) -> Image.Exif:
    block = Image.Exif()
    block[0x0112] = orientation
    return block


def grey16(dtype: str = "uint16") -> Image.Image:
    ramp = np.linspace(0, 65535, 48 * 48).reshape(48, 48)
    return Image.fromarray(ramp.astype(dtype))


def animated(fmt: str) -> bytes:
    return encode(PICTURE, fmt, save_all=True, append_images=[OTHER])


KINDS: dict[str, Callable[[], bytes]] = {
    **{fmt: (lambda fmt=fmt: encode(PICTURE, fmt)) for fmt in FORMATS},
    "MPO": lambda: animated("MPO"),
    "CMYK": lambda: encode(PICTURE.convert("CMYK"), "JPEG"),
    "grey": lambda: encode(PICTURE.convert("L"), "JPEG"),
    "palette": lambda: encode(PICTURE.convert("P")),
    "bilevel": lambda: encode(PICTURE.convert("1"), "TIFF", compression="group4"),
    "alpha": lambda: encode(PICTURE.convert("RGBA")),
    "grey with alpha": lambda: encode(PICTURE.convert("LA")),
    "palette with transparency": lambda: encode(PICTURE.convert("P"), transparency=0),
    "16 bit": lambda: encode(grey16()),
    "32 bit": lambda: encode(grey16("int32"), "TIFF"),
    "float": lambda: encode(grey16("float32"), "TIFF"),
    "Lab": lambda: encode(PICTURE.convert("LAB"), "TIFF"),
    "LZW": lambda: encode(PICTURE, "TIFF", compression="tiff_lzw"),
    "progressive": lambda: encode(PICTURE, "JPEG", progressive=True),
    "animated GIF": lambda: animated("GIF"),
    "animated PNG": lambda: animated("PNG"),
    "animated WebP": lambda: animated("WEBP"),
    "turned": lambda: encode(PICTURE, "JPEG", exif=exif(6)),
    "EXIF garbage": lambda: encode(PICTURE, "JPEG", exif=b"Exif\x00\x00garbage garbage"),
    "EXIF cut short": lambda: encode(
        PICTURE, "JPEG", exif=b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\xff\xff"
    ),
    "EXIF broken in PNG": lambda: encode(PICTURE, exif=b"MM\x00*\x00\x00\xff\x08\xff\xff\x01"),
}


def refusal(data: bytes, max_pixels: int = MAX_PIXELS) -> Problem:
    with pytest.raises(Problem) as error:
        decode(data, SPEC, max_pixels)
    return error.value


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_picture_is_read(kind: str) -> None:
    pixels, info = decode(KINDS[kind](), SPEC, MAX_PIXELS)
    assert pixels.shape == (3, 32, 32) and pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert (info.width, info.height) == (48, 48)
    assert pixels.std() > 5, "the picture came out blank"


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "alpha", "LZW"])
def test_lossless_pictures_come_out_as_training_reads_them(kind: str) -> None:
    pixels, _ = decode(KINDS[kind](), SPEC, MAX_PIXELS)
    assert np.abs(pixels.astype(int) - to_pixels(PICTURE, SPEC)).mean() < 1


@pytest.mark.parametrize("fmt", ["GIF", "PNG", "WEBP", "MPO"])
def test_an_animation_is_its_first_frame(fmt: str) -> None:
    pixels, _ = decode(animated(fmt), SPEC, MAX_PIXELS)
    first, second = (to_pixels(picture, SPEC).astype(int) for picture in (PICTURE, OTHER))
    assert np.abs(pixels - first).mean() < 8 < np.abs(pixels - second).mean()


def test_the_format_is_what_the_bytes_say() -> None:
    assert decode(encode(PICTURE, "PNG"), SPEC, MAX_PIXELS)[1].format == "PNG"
    assert decode(encode(PICTURE, "WEBP"), SPEC, MAX_PIXELS)[1].format == "WEBP"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_upright(orientation: int) -> None:
    wide = draw("red bar", 96).resize((96, 48))
    pixels, info = decode(encode(wide, "JPEG", exif=exif(orientation)), SPEC, MAX_PIXELS)
    turned = orientation >= 5
    assert (info.width, info.height) == ((48, 96) if turned else (96, 48))
    red = pixels[0].astype(int) - pixels[2]
    across, down = red.mean(1).std(), red.mean(0).std()
    assert (down > across) == turned, "the bar lies the wrong way"


def test_a_large_jpeg_is_read_at_a_reduced_size(monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    large = Image.fromarray(noise).resize((1600, 1200), Image.Resampling.BICUBIC)
    data = encode(large, "JPEG")
    drafted: list[tuple[int, int]] = []
    original = open_picture.to_pixels

    def spy(image: Image.Image, spec: PreprocessSpec) -> NDArray[np.uint8]:
        drafted.append(image.size)
        return original(image, spec)

    monkeypatch.setattr(open_picture, "to_pixels", spy)
    pixels, info = decode(data, SPEC, 50_000_000)
    assert (info.width, info.height) == (1600, 1200)
    assert drafted == [(200, 150)]
    full = to_pixels(Image.open(io.BytesIO(data)), SPEC).astype(int)
    assert np.abs(pixels - full).mean() < 4
    decode(encode(large.resize((120, 90)), "JPEG"), SPEC, 50_000_000)
    assert drafted[-1] == (120, 90), "a small picture lost detail"


@pytest.mark.parametrize(
    ("data", "slug", "said"),
    [
        (b"", "broken-image", "empty"),
        (b"hello", "unsupported-image", "not a picture"),
        (b"\x00" * 5000, "unsupported-image", "not a picture"),
        (b"%PDF-1.7 ...", "unsupported-image", "PDF"),
        (b"<?xml version='1.0'?><svg xmlns=''>", "unsupported-image", "SVG"),
        *(
            []
            if HEIF
            else [(b"\x00\x00\x00\x18ftypheic\x00\x00", "unsupported-image", "pillow-heif")]
        ),
        (b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00", "unsupported-image", "video"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "unsupported-image", "PostScript"),
        (b"\xff\xd8\xff", "broken-image", "JPEG"),
        (b"\x89PNG\r\n\x1a\n", "broken-image", ""),
        (encode(PICTURE, "JPEG")[:-300], "broken-image", "truncated"),
        (encode(PICTURE)[:-60], "broken-image", ""),
        (encode(PICTURE, "GIF")[:200], "broken-image", ""),
        (encode(PICTURE, "WEBP")[:-100], "broken-image", ""),
        (encode(PICTURE, "BMP")[:-1000], "broken-image", "truncated"),
    ],
)
def test_bad_files_are_refused(data: bytes, slug: str, said: str) -> None:
    problem = refusal(data)
    assert problem.type_slug == slug
    assert problem.status == (415 if slug == "unsupported-image" else 422)
    assert said in problem.detail


def test_the_refusal_tells_nothing_of_the_inside() -> None:
    for data in (b"", b"hello", encode(PICTURE)[:-60], encode(PICTURE, "JPEG")[:-300]):
        detail = refusal(data).detail
        assert "BytesIO" not in detail and "Pillow" not in detail and "/" not in detail


def bomb(width: int, height: int) -> bytes:
    """Return a small PNG that would be `width` x `height` if it were decoded."""
    data = bytearray(encode(Image.new("L", (1, 1))))
    data[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    return bytes(data)


@pytest.mark.parametrize("size", [(1001, 1000), (1500, 1000), (60_000, 60_000)])
def test_the_pixel_limit_holds_before_decoding(
    monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    monkeypatch.setattr(open_picture, "to_pixels", lambda *_: pytest.fail("it was decoded"))
    problem = refusal(bomb(*size))
    assert (problem.type_slug, problem.status) == ("too-many-pixels", 422)
    assert "1,000,000" in problem.detail


def test_exactly_the_pixel_limit_is_read() -> None:
    assert decode(encode(PICTURE), SPEC, 48 * 48)[1].width == 48
    assert refusal(encode(PICTURE), 48 * 48 - 1).type_slug == "too-many-pixels"


def test_an_unexpected_error_is_refused_and_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("secret")

    monkeypatch.setattr(open_picture, "to_pixels", broken)
    problem = refusal(encode(PICTURE))
    assert problem.type_slug == "broken-image" and "secret" not in problem.detail
    assert "unusual error" in caplog.text


# --- hostile input ------------------------------------------------------------------------------

SOURCES = {kind: make() for kind, make in KINDS.items()}
fuzz = settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)


def decode_or_refuse(data: bytes) -> None:
    """Whatever the bytes, there is a picture or a 4xx."""
    try:
        pixels, info = decode(data, SPEC, MAX_PIXELS)
    except Problem as problem:
        assert problem.status in (415, 422)
    else:
        assert pixels.shape == (3, 32, 32)
        assert info.width * info.height <= MAX_PIXELS


@fuzz
@given(st.binary(max_size=400))
def test_random_bytes(data: bytes) -> None:
    decode_or_refuse(data)


@fuzz
@given(st.sampled_from(sorted(SOURCES)), st.floats(0, 1, exclude_max=True))
def test_truncations(kind: str, share: float) -> None:
    data = SOURCES[kind]
    decode_or_refuse(data[: int(len(data) * share)])


@fuzz
@given(
    st.sampled_from(sorted(SOURCES)),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=20),
    st.booleans(),
)
def test_changed_bytes(kind: str, changes: list[tuple[float, int]], in_header: bool) -> None:
    data = bytearray(SOURCES[kind])
    reach = min(len(data), 120) if in_header else len(data)
    for share, value in changes:
        data[int(reach * share)] = value
    decode_or_refuse(bytes(data))


@fuzz
@given(st.sampled_from(sorted(SOURCES)), st.sampled_from(sorted(SOURCES)), st.integers(2, 60))
def test_one_format_spliced_into_another(first: str, second: str, cut: int) -> None:
    decode_or_refuse(SOURCES[first][:cut] + SOURCES[second][cut:])
