"""Zip files: damaged, hostile, half unpacked."""

import shutil
import zipfile
from pathlib import Path

import pytest

from tests.training.bad_server import PICTURES, zipped
from training.data.unpack import UnpackError, unpack


def leftovers(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"val2017"}


def test_unpacking_goes_on(tmp_path: Path) -> None:
    (tmp_path / "v.zip").write_bytes(PICTURES)
    staging = tmp_path / ".unpacking-v" / "val2017"
    staging.mkdir(parents=True)
    (staging / "1.jpg").write_bytes(b"\1" * 40_000)
    (staging / "2.jpg").write_bytes(b"cut")
    (staging / "3.jpg.part").write_bytes(b"\3")
    kept = (staging / "1.jpg").stat().st_ino
    assert unpack(tmp_path / "v.zip", tmp_path) == 8
    assert (tmp_path / "val2017" / "1.jpg").stat().st_ino == kept
    assert (tmp_path / "val2017" / "2.jpg").read_bytes() == b"\2" * 40_000
    assert leftovers(tmp_path) == {"v.zip"}
    assert len(list((tmp_path / "val2017").iterdir())) == 8


def test_unpacking_into_a_folder_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "v.zip").write_bytes(PICTURES)
    (tmp_path / "val2017").mkdir()
    (tmp_path / "val2017" / "1.jpg").write_bytes(b"cut off")
    (tmp_path / "val2017" / "mine.txt").write_bytes(b"kept")
    unpack(tmp_path / "v.zip", tmp_path)
    assert (tmp_path / "val2017" / "1.jpg").read_bytes() == b"\1" * 40_000
    assert (tmp_path / "val2017" / "mine.txt").read_bytes() == b"kept"


def link() -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("val2017/link")
    info.create_system, info.external_attr = 3, 0o120777 << 16
    return info


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../evil.jpg", "leads out of the folder"),
        ("val2017/../../evil.jpg", "leads out"),
        ("/etc/evil.jpg", "leads out"),
        ("C:/evil.jpg", "leads out"),
        ("val2017\\evil.jpg", "leads out"),
        (link(), "no ordinary file"),
    ],
)
def test_names_that_lead_elsewhere_are_refused(
    tmp_path: Path, name: str | zipfile.ZipInfo, message: str
) -> None:
    path = tmp_path / "in" / "v.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("val2017/good.jpg", b"x")
        archive.writestr(name, b"/etc/passwd")
    with pytest.raises(UnpackError, match=message):
        unpack(path, tmp_path / "in", "val2017/*")
    assert [entry.name for entry in tmp_path.rglob("*")] == ["in", "v.zip"]


@pytest.mark.parametrize("content", [b"", b"no zip", PICTURES[:90_000], PICTURES[:-30]])
def test_what_is_no_zip_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "v.zip").write_bytes(content)
    with pytest.raises(UnpackError, match="damaged") as caught:
        unpack(tmp_path / "v.zip", tmp_path)
    assert caught.value.damaged


def test_archive_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(zipped({"readme.txt": b"hello"}))
    with pytest.raises(UnpackError, match=r"a\.zip: holds no val2017"):
        unpack(tmp_path / "a.zip", tmp_path, "val2017/*.jpg")


def test_unpacking_needs_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "v.zip").write_bytes(PICTURES)
    free = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr("training.data.machine.shutil.disk_usage", lambda _: free)
    with pytest.raises(UnpackError, match=r"0 MB free, 0 MB needed to unpack v\.zip"):
        unpack(tmp_path / "v.zip", tmp_path)
