"""Serving, jobs and training judge every file alike, whatever is wrong with it.

Damaged photographs, and files of every format that hypothesis has changed: what the server reads,
training reads to the same pixels; what it refuses, training counts as unreadable for the same
reason; and the check before training says nothing against what is read.
"""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from models.api.preprocessing import PreprocessSpec
from models.pictures.kinds import FORMATS, READABLE
from serving.base.problems import Problem
from serving.pictures.images import decode
from tests.picture_files import EOI, chunk, encoded, photograph, riff, segment, webp, with_chunk
from training.data.coco import CaptionData, CaptionedImage, DataError
from training.data.pictures import PictureReader, without_unreadable

# Pillow warns of damaged metadata, and of palettes with transparency.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")

SHARED = Path(__file__).resolve().parents[3].parent / "shared" / "data"
PHOTOGRAPHS = sorted(SHARED.glob("coco-mini/*2017/*.jpg")) + sorted(
    SHARED.glob("coco-more/images/*.webp")
)
SPEC = PreprocessSpec(height=64, width=64)
READER = PictureReader(SPEC)
MOST_PIXELS = 50_000_000


def judged(data: bytes, path: Path) -> tuple[bool, str]:
    """Return whether a file is read, and the server's words if not, once all agree on it."""
    path.write_bytes(data)
    image = CaptionedImage(1, path, ("a caption",))
    checked = without_unreadable(CaptionData("one", (image,)), max_share=1)
    try:
        pixels, info = decode(data, SPEC, MOST_PIXELS)
    except Problem as problem:
        assert problem.status in (415, 422)
        with pytest.raises(DataError) as refusal:
            READER(image)
        said = problem.detail.removesuffix(f"; send one of {READABLE}.")
        if problem.type_slug != "too-many-pixels":
            assert str(refusal.value).endswith(f"cannot be read as a picture: {said}")
            assert all(fault.reason == said for fault in checked.unreadable)
        return False, problem.detail
    assert not checked.unreadable
    trained = READER(image).transpose(2, 0, 1)
    assert np.array_equal(pixels, trained)
    assert info.width > 0 and info.height > 0
    return True, ""


# --- photographs, damaged in ten ways -------------------------------------------------------------

Damage = Callable[[bytes, random.Random], bytes]


def _cut(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data))]


def _without_end(data: bytes, _: random.Random) -> bytes:
    return data[:-2]


def _half_with_an_end(data: bytes, _: random.Random) -> bytes:
    return data[: len(data) // 2] + EOI


def _flipped(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(8):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _damaged_header(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(4):
        changed[chance.randrange(min(len(changed), 600))] = chance.randrange(256)
    return bytes(changed)


def _hole(data: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(data) // 2, len(data))
    length = min(8192, len(data) - start)
    return data[:start] + bytes(length) + data[start + length :]


def _damaged_exif(data: bytes, chance: random.Random) -> bytes:
    block = b"Exif\0\0MM\0*\0\0\0\x08" + chance.randbytes(60)
    if data.startswith(b"RIFF"):
        size = Image.open(io.BytesIO(data)).size
        return webp(size, data[12:], riff(b"EXIF", block), flags=8)
    return data[:2] + segment(0xE1, block) + data[2:]


def _damaged_profile(data: bytes, chance: random.Random) -> bytes:
    block = b"ICC_PROFILE\0" + chance.randbytes(chance.randrange(3))
    if data.startswith(b"RIFF"):
        size = Image.open(io.BytesIO(data)).size
        return webp(size, riff(b"ICCP", block), data[12:], flags=0x20)
    return data[:2] + segment(0xE2, block) + data[2:]


def _with_a_trailer(data: bytes, chance: random.Random) -> bytes:
    return data + b"MotionPhoto_Data" + chance.randbytes(3000)


def _as_png_with_swollen_text(data: bytes, _: random.Random) -> bytes:
    image = Image.open(io.BytesIO(data)).convert("RGB").resize((160, 120))
    text = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2_000_000)), sound=False)
    return with_chunk(encoded(image, "PNG", compress_level=1), text, b"IDAT")


WAYS: tuple[Damage, ...] = (
    _cut,
    _without_end,
    _half_with_an_end,
    _flipped,
    _damaged_header,
    _hole,
    _damaged_exif,
    _damaged_profile,
    _with_a_trailer,
    _as_png_with_swollen_text,
)
HARMLESS = (_damaged_exif, _damaged_profile, _with_a_trailer, _as_png_with_swollen_text)


def check_photographs(count: int, folder: Path) -> None:
    chance = random.Random(18)
    verdicts: Counter[tuple[str, bool]] = Counter()
    for photograph_of in chance.sample(PHOTOGRAPHS, count):
        data = photograph_of.read_bytes()
        jpeg = data.startswith(b"\xff\xd8")
        for damage in WAYS:
            read, why = judged(damage(data, chance), folder / "picture")
            verdicts[damage.__name__, read] += 1
            if damage in HARMLESS or (jpeg and damage is _without_end):
                assert read, (photograph_of.name, damage.__name__, why)
            if jpeg and damage is _half_with_an_end:
                assert not read, photograph_of.name
    assert verdicts["_cut", False] > 0.9 * count
    assert verdicts["_damaged_header", True] and verdicts["_damaged_header", False]


@pytest.mark.skipif(not PHOTOGRAPHS, reason="no ../shared/data")
def test_a_few_photographs_damaged_in_ten_ways(tmp_path: Path) -> None:
    check_photographs(12, tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(not PHOTOGRAPHS, reason="no ../shared/data")
def test_two_hundred_photographs_damaged_in_ten_ways(tmp_path: Path) -> None:
    check_photographs(200, tmp_path)


# --- files of every format, changed by hypothesis -------------------------------------------------

DRAWN = photograph(40, 30)
SOURCES = {
    **{kind: encoded(DRAWN, kind) for kind in FORMATS},
    "progressive": encoded(DRAWN, "JPEG", progressive=True),
    "restarts": encoded(DRAWN, "JPEG", restart_marker_blocks=2),
    "LZW": encoded(DRAWN, "TIFF", compression="tiff_lzw"),
    "JPEG in TIFF": encoded(DRAWN, "TIFF", compression="jpeg"),
    "float": encoded(DRAWN.convert("F"), "TIFF"),
    "16 bits": encoded(Image.fromarray(np.arange(1200, dtype=np.uint16).reshape(30, 40)), "PNG"),
    "alpha": encoded(DRAWN.convert("RGBA"), "WEBP", lossless=True),
    "palette": encoded(DRAWN.convert("P"), "PNG", transparency=3),
    "animation": encoded(DRAWN, "GIF", save_all=True, append_images=[DRAWN.rotate(90)]),
    "EXIF": encoded(DRAWN, "JPEG", exif=b"Exif\0\0II*\0" + struct.pack("<L", 8) + bytes(30)),
}
fuzz = settings(
    max_examples=150,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
places = st.floats(0, 1, exclude_max=True)


@pytest.mark.parametrize("change", ["bytes", "header", "cut", "piece out", "piece twice"])
@fuzz
@given(source=st.sampled_from(sorted(SOURCES)), data=st.data())
def test_changed_files(tmp_path: Path, change: str, source: str, data: st.DataObject) -> None:
    file = bytearray(SOURCES[source])
    if change in ("bytes", "header"):
        reach = len(file) if change == "bytes" else min(len(file), 200)
        for place, value in data.draw(
            st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=12)
        ):
            file[int(reach * place)] = value
    else:
        start = int(len(file) * data.draw(places))
        end = start + data.draw(st.integers(1, 60))
        if change == "cut":
            del file[start:]
        elif change == "piece out":
            del file[start:end]
        else:
            file[start:start] = file[start:end]
    judged(bytes(file), tmp_path / "picture")


@pytest.mark.parametrize("source", sorted(SOURCES))
def test_unchanged_files(source: str, tmp_path: Path) -> None:
    assert judged(SOURCES[source], tmp_path / "picture") == (True, "")


def test_what_is_no_picture(tmp_path: Path) -> None:
    for data in (b"", b"<html>404</html>", b"%PDF-1.7", bytes(5000), b"GIF89a"):
        read, why = judged(data, tmp_path / "picture")
        assert not read and why


def test_headers_in_large_files(tmp_path: Path) -> None:
    """The check before training reads on where the first bytes do not tell."""
    filler = b"".join(segment(0xE2, b"x" * 60_000) for _ in range(3))
    jpeg = SOURCES["JPEG"]
    assert judged(jpeg[:2] + filler + jpeg[2:], tmp_path / "picture")[0]
    png = with_chunk(SOURCES["PNG"], chunk(b"tEXt", b"a\0" + bytes(100_000)), b"IDAT")
    assert judged(png, tmp_path / "picture")[0]
    tiff = encoded(photograph(400, 300), "TIFF", compression="packbits")
    assert judged(tiff, tmp_path / "picture")[0]
