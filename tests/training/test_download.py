"""Whole data sets from a local bad_server, and the command."""

import hashlib
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.training.bad_server import ANNOTATIONS, PICTURES, QUICK, Server
from training import download as download_module
from training.data.coco import load_split
from training.data.fetch import DownloadError
from training.download import Archive, Source, download


def archive(part: str, content: bytes, path: str, wanted: str) -> Archive:
    md5 = hashlib.md5(content).hexdigest()
    return Archive(part, path, len(content), md5, wanted, unpacked=1000)


@pytest.fixture
def source(bad_server: Server) -> Source:
    return Source(
        bad_server.url,
        (
            archive("annotations", ANNOTATIONS, "annotations/a.zip", "annotations/captions_*.json"),
            archive("val", PICTURES, "zips/v.zip", "val2017/*.jpg"),
        ),
    )


def leftovers(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"annotations", "val2017"}


def test_everything_lands_where_training_looks(
    bad_server: Server, source: Source, tmp_path: Path
) -> None:
    bad_server.drop_after = [200, 100_000]
    download(source, tmp_path, patience=QUICK)
    data = load_split(tmp_path, "val")
    assert data.captions == ["A dog."]
    assert data.images[0].path.read_bytes() == b"\1" * 40_000
    assert not (tmp_path / "annotations" / "instances_val2017.json").exists()
    assert leftovers(tmp_path) == {".downloaded.json"}
    bad_server.asked.clear()
    download(source, tmp_path, patience=QUICK)
    assert bad_server.asked == []


def test_lost_files_are_fetched_again(bad_server: Server, source: Source, tmp_path: Path) -> None:
    download(source, tmp_path, patience=QUICK)
    (tmp_path / "val2017" / "3.jpg").unlink()
    bad_server.asked.clear()
    download(source, tmp_path, patience=QUICK)
    assert [path for path, _ in bad_server.asked] == ["/zips/v.zip"]
    assert len(list((tmp_path / "val2017").iterdir())) == 8


def test_only_a_part_from_a_mirror(bad_server: Server, source: Source, tmp_path: Path) -> None:
    official = replace(source, server="http://official.invalid")
    download(
        official, tmp_path, ["val"], mirror=bad_server.url + "/", keep_archives=True, patience=QUICK
    )
    assert leftovers(tmp_path) == {".downloaded.json", "v.zip"}
    assert not (tmp_path / "annotations").exists()


def test_damage_is_found_and_the_archive_dropped(
    bad_server: Server, source: Source, tmp_path: Path
) -> None:
    damaged = bytearray(PICTURES)
    damaged[50_000] ^= 1
    bad_server.files["/zips/v.zip"] = bytes(damaged)
    with pytest.raises(DownloadError, match=r"MD5 .* expected .* deleted: the same command"):
        download(source, tmp_path, ["val"], patience=QUICK)
    # Without a checksum the zip's own find it.
    unknown = replace(source.archives[1], md5=None, size=None)
    with pytest.raises(DownloadError, match=r"damaged: Bad CRC-32 for file 'val2017/2\.jpg'"):
        download(replace(source, archives=(unknown,)), tmp_path, patience=QUICK)
    assert not (tmp_path / "v.zip").exists()
    assert not (tmp_path / "val2017").exists()
    bad_server.files["/zips/v.zip"] = PICTURES
    download(source, tmp_path, ["val"], patience=QUICK)
    assert len(list((tmp_path / "val2017").iterdir())) == 8
    assert leftovers(tmp_path) == {".downloaded.json"}


def test_somebodys_own_archive_is_not_deleted(source: Source, tmp_path: Path) -> None:
    (tmp_path / "v.zip").write_bytes(b"mine")
    with pytest.raises(DownloadError, match=r"4 bytes, expected .* delete .*v\.zip"):
        download(source, tmp_path, ["val"], patience=QUICK)
    assert (tmp_path / "v.zip").read_bytes() == b"mine"


def test_too_little_space_is_said_first(bad_server: Server, source: Source, tmp_path: Path) -> None:
    huge = replace(source.archives[1], size=10**18)
    with pytest.raises(DownloadError, match=r"GB free, 1000000000\.\d GB needed"):
        download(replace(source, archives=(huge,)), tmp_path, patience=QUICK)
    assert bad_server.asked == []


def test_command(
    source: Source,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setitem(download_module.SOURCES, "coco2017", source)
    arguments = ["coco2017", "--to", str(tmp_path / "coco"), "--only", "annotations"]
    assert download_module.main(arguments, QUICK) == 0
    assert "a.zip: 1 files in" in caplog.text
    caplog.clear()
    assert download_module.main([*arguments[:3], "--mirror", "here"], QUICK) == 2
    assert caplog.records[-1].getMessage() == "here/zips/v.zip: not an http(s) address"


def test_command_in_a_folder_that_cannot_be(caplog: pytest.LogCaptureFixture) -> None:
    assert download_module.main(["coco2017", "--to", "/proc/coco"], QUICK) == 2
    assert "cannot be written" in caplog.text


def test_interrupt_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(download_module, "download", interrupted)
    assert download_module.main(["coco2017", "--to", str(tmp_path)]) == 130
    assert "the same command goes on" in caplog.text
