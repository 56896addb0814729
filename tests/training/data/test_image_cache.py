"""Decoded pictures on disk: the same bytes, after kills, changes and damage too."""

import logging
import multiprocessing
import os
import pickle
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from models.api.preprocessing import PreprocessSpec
from training.data import records
from training.data.coco import CaptionData, DataError, load_split
from training.data.image_cache import ImageCache
from training.data.pictures import PictureReader, without_unreadable

SPEC = PreprocessSpec(height=48, width=64)


@pytest.fixture
def data(shapes: Path, tmp_path: Path) -> CaptionData:
    return load_split(shutil.copytree(shapes, tmp_path / "data"), "train")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def read_all(data: CaptionData, *caches: ImageCache) -> list[bytes]:
    reader = PictureReader(SPEC, caches)
    return [reader(image).tobytes() for image in data.images]


def filled(cache: ImageCache, data: CaptionData) -> int:
    return sum(cache.get(image.path) is not None for image in data.images)


@pytest.fixture
def count_decodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Path]]:
    decoded: list[Path] = []
    from training.data import pictures

    original = pictures.read_picture

    def counting(image, spec):  # type: ignore[no-untyped-def]
        decoded.append(image.path)
        return original(image, spec)

    monkeypatch.setattr(pictures, "read_picture", counting)
    yield decoded


def test_same_bytes_decoded_once(
    data: CaptionData, folder: Path, count_decodes: list[Path]
) -> None:
    plain = read_all(data)
    count_decodes.clear()
    cache = ImageCache(folder, data, SPEC)
    assert read_all(data, cache) == plain
    assert len(count_decodes) == 12
    assert read_all(data, cache) == plain
    assert read_all(data, ImageCache(folder, data, SPEC)) == plain
    assert len(count_decodes) == 12
    pixels = np.memmap(cache.folder / "pixels.u8", np.uint8, "r", shape=(12, 48, 64, 3))
    assert pixels[3].tobytes() == plain[3]


def test_other_sizes_and_splits_have_their_own(data: CaptionData, folder: Path) -> None:
    specs = [
        SPEC,
        PreprocessSpec(height=64, width=64),
        PreprocessSpec(height=48, width=64, fit="pad"),
    ]
    assert len({ImageCache(folder, data, spec).folder for spec in specs}) == 3
    # The network's mean and deviation come after.
    assert ImageCache(folder, data, SPEC.model_copy(update={"mean": (0.0, 0.0, 0.0)})).folder in (
        ImageCache(folder, data, SPEC).folder,
    )


def test_a_changed_picture_is_decoded_again(
    data: CaptionData, folder: Path, count_decodes: list[Path]
) -> None:
    read_all(data, ImageCache(folder, data, SPEC))
    changed = data.images[4].path
    shutil.copy(data.images[0].path, changed)
    count_decodes.clear()
    found = read_all(data, ImageCache(folder, data, SPEC))
    assert count_decodes == [changed]
    assert found[4] == found[0]


@pytest.mark.parametrize("name", ["pixels.u8", "index.u64"])
def test_damage_is_noticed(data: CaptionData, folder: Path, name: str) -> None:
    cache = ImageCache(folder, data, SPEC)
    plain = read_all(data, cache)
    with (cache.folder / name).open("r+b") as file:
        file.seek(5)
        file.write(b"\xaa\xbb\xcc")
    again = ImageCache(folder, data, SPEC)
    assert filled(again, data) == 11
    assert read_all(data, again) == plain
    (cache.folder / name).write_bytes(b"")
    assert read_all(data, ImageCache(folder, data, SPEC)) == plain


def test_unreadable_pictures_do_not_move_the_others(data: CaptionData, folder: Path) -> None:
    whole = ImageCache(folder, data, SPEC)
    plain = read_all(data, whole)
    data.images[3].path.unlink()
    less = without_unreadable(data, 0.5)
    cache = ImageCache(folder, less, SPEC)
    assert cache.folder == whole.folder
    assert read_all(less, cache) == plain[:3] + plain[4:]


def test_other_processes_fill_it_too(data: CaptionData, folder: Path) -> None:
    cache = ImageCache(folder, data, SPEC)
    for method in ("fork", "spawn"):
        context = multiprocessing.get_context(method)
        half = CaptionData("half", data.images[:6] if method == "fork" else data.images[6:])
        process = context.Process(target=read_all, args=(half, cache))
        process.start()
        process.join(60)
        assert process.exitcode == 0
    assert filled(cache, data) == 12
    assert len(pickle.dumps(cache)) < 10_000


def fill_for_ever(data: CaptionData, cache: ImageCache) -> None:
    reader = PictureReader(SPEC)
    while True:
        for image in data.images:
            cache.put(image.path, reader(image))


def test_killed_at_any_moment(data: CaptionData, folder: Path) -> None:
    plain = read_all(data)
    cache = ImageCache(folder, data, SPEC)
    for _ in range(5):
        process = multiprocessing.get_context("fork").Process(
            target=fill_for_ever, args=(data, cache)
        )
        process.start()
        time.sleep(0.03)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert read_all(data, ImageCache(folder, data, SPEC)) == plain


def test_says_how_full_it_is(
    data: CaptionData, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    cache = ImageCache(folder, data, SPEC)
    cache.put(data.images[0].path, PictureReader(SPEC)(data.images[0]))
    ImageCache(folder, data, SPEC)
    assert "0 of 12 pictures cached" in caplog.text
    assert "1 of 12 pictures cached" in caplog.text


def test_too_little_space_is_said_first(
    data: CaptionData, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = shutil.disk_usage("/")._replace(free=1000)
    monkeypatch.setattr("training.data.machine.shutil.disk_usage", lambda _: free)
    with pytest.raises(DataError, match="0 MB free, 0 MB needed to cache 12 pictures"):
        ImageCache(folder, data, SPEC)


def test_disk_that_refuses_later_costs_only_the_cache(
    data: CaptionData,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    cache = ImageCache(folder, data, SPEC)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(records.os, "pwrite", full)
    assert read_all(data, cache) == read_all(data)
    assert caplog.text.count("No space left") == 1


def test_folder_that_cannot_be(data: CaptionData) -> None:
    with pytest.raises(DataError, match="cannot be written"):
        ImageCache(Path("/proc/cache"), data, SPEC)
