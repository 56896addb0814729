"""What the inputs hold, and what is read from them."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from captionbox.cli.sources.folders import SYSTEM_FOLDERS

from jobs.pipeline import captioners
from jobs.reading import Encoded, Reader
from jobs.results import UNREADABLE, KeySet
from jobs.sources import Columns, SourceError, Unit, list_inputs
from serving.base.settings import Settings
from tests.drawings import draw, encode
from tests.picture_site import PICTURE, serve_site

RED, BLUE = encode(draw("red ring")), encode(draw("blue bar"), "JPEG")


def read(
    *inputs: str | Path,
    columns: Columns | None = None,
    done: tuple[str, ...] = (),
    **settings: Any,
) -> dict[str, Encoded]:
    columns = columns or Columns()
    units = list_inputs([str(path) for path in inputs], columns).units
    reader = Reader(Settings(**settings), columns, KeySet(done))
    found = [picture for some in reader.read(units) for picture in some]
    assert len({picture.key for picture in found}) == len(found)
    return {picture.key: picture for picture in found}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    (root / "deep").mkdir(parents=True)
    (root / "a.png").write_bytes(RED)
    (root / "deep" / "b.JPG").write_bytes(BLUE)
    (root / "notes.txt").write_text("no picture")
    (root / ".hidden.png").write_bytes(RED)
    return root


def test_a_folder_has_the_pictures_below_it_by_their_paths(folder: Path) -> None:
    listing = list_inputs([str(folder)], Columns())
    assert [unit.key for unit in listing.units] == ["a.png", "deep/b.JPG"]
    assert listing.pictures == 2
    found = read(folder)
    assert found["a.png"].data == RED and found["deep/b.JPG"].data == BLUE
    assert read(f"file://{folder}") == found


@pytest.mark.parametrize(
    "name", [*sorted(SYSTEM_FOLDERS), "@eaDir", "#recycle", ".thumbnails", ".Trash-1000"]
)
def test_folders_of_systems_are_no_pictures(folder: Path, tmp_path: Path, name: str) -> None:
    for below in (name, f"deep/{name}/deeper"):
        (folder / below).mkdir(parents=True)
        (folder / below / "c.png").write_bytes(RED)
    assert list(read(folder)) == ["a.png", "deep/b.JPG"]
    assert list(read(folder / name)) == ["c.png"], "who names one means it"
    members = {f"{name}/a.png": RED, f"x/{name}/y/b.png": RED, "./x/c.png": RED}
    shard = make_tar(tmp_path / "shard.tar", members)
    assert list(read(shard)) == ["shard.tar/./x/c.png"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\0"])
@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_lists_come_from_every_system(tmp_path: Path, coding: str, end: str) -> None:
    names = ["first [1].png", "# none", " Straße.png", "三.png"]
    addresses = tmp_path / "list.txt"
    addresses.write_bytes(end.join([*names, ""]).encode(coding))
    units = list_inputs([str(addresses)], Columns()).units
    assert [unit.key for unit in units] == ["first [1].png", "Straße.png", "三.png"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("Straße.png".encode("latin-1"), r"list\.txt: not UTF-8: 'Stra\\udcdfe\.png'"),
        ("\n".join(["first.png"] * 9).encode("utf-16-le"), "UTF-16 without a byte order mark"),
    ],
)
def test_a_list_that_cannot_be_read_is_named(tmp_path: Path, data: bytes, message: str) -> None:
    addresses = tmp_path / "list.txt"
    addresses.write_bytes(data)
    with pytest.raises(SourceError, match=message):
        list_inputs([str(addresses)], Columns())


def test_an_empty_input_beside_others_is_told(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "none").mkdir()
    assert len(list_inputs([str(folder), str(tmp_path / "none")], Columns()).units) == 2
    assert caplog.messages == [f"no pictures in {tmp_path / 'none'}"]


def test_several_folders_are_told_apart_by_name(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.png").write_bytes(BLUE)
    assert sorted(read(folder, other)) == ["other/a.png", "photos/a.png", "photos/deep/b.JPG"]
    with pytest.raises(SourceError, match="two inputs are called 'photos'"):
        list_inputs([str(folder), str(folder)], Columns())


def test_what_is_done_is_not_read_again(folder: Path) -> None:
    assert list(read(folder, done=("a.png",))) == ["deep/b.JPG"]


def test_what_is_too_large_or_gone_is_told(folder: Path, tmp_path: Path) -> None:
    (folder / "big.bmp").write_bytes(bytes(2 * 1024 * 1024))
    big = read(folder, max_upload_mb=1)["big.bmp"]
    assert (big.data, big.error) == (None, "too-large")
    assert big.reason == "The picture has more than 1 MiB."
    addresses = tmp_path / "list.txt"
    addresses.write_text(f"# a list\n\n{folder / 'a.png'}\n{folder / 'gone.png'}\n")
    found = read(addresses)
    assert found[str(folder / "a.png")].data == RED
    gone = found[str(folder / "gone.png")]
    assert gone.error == UNREADABLE and "FileNotFoundError" in (gone.reason or "")


def test_addresses_are_fetched_with_the_guard_of_the_server(tmp_path: Path) -> None:
    addresses = tmp_path / "urls.txt"
    with serve_site() as site:
        good, missing = site.url("/picture"), site.url("/status?code=404")
        addresses.write_text(f"{good}\n{missing}\ndata:,x\n")
        open_to = {"url_ports": (site.port,), "url_networks": ("127.0.0.0/8",)}
        found = read(addresses, **open_to)
        assert found[good].data == PICTURE and found["data:,x"].data == b"x"
        assert found[missing].error == "url-answer" and "404" in (found[missing].reason or "")
        assert read(addresses)[good].error == "url-refused"


def test_parquet_rows_are_bytes_structs_or_addresses(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    table = pa.table({"image": [RED, BLUE, None], "id": ["r", "b", None]})
    pyarrow.parquet.write_table(table, path, row_group_size=2)
    assert list_inputs([str(path)], Columns()).pictures == 3
    found = read(path)
    assert list(found) == ["rows.parquet/0", "rows.parquet/1", "rows.parquet/2"]
    assert found["rows.parquet/1"].data == BLUE
    assert found["rows.parquet/2"].error == UNREADABLE
    assert list(read(path, columns=Columns(key="id"))) == ["r", "b", "rows.parquet/2"]
    assert list(read(path, done=("rows.parquet/0",))) == ["rows.parquet/1", "rows.parquet/2"]

    cells = [{"bytes": RED, "path": None}, {"bytes": None, "path": str(folder / "a.png")}]
    pyarrow.parquet.write_table(pa.table({"picture": cells}), path)
    found = read(path, columns=Columns("picture"))
    assert [picture.data for picture in found.values()] == [RED, RED]
    with pytest.raises(SourceError, match="no column 'image'; there are: picture"):
        list_inputs([str(path)], Columns())


def make_tar(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


@pytest.mark.parametrize("ending", [".tar", ".tar.gz"])
def test_a_webdataset_tar_has_the_pictures_among_its_members(tmp_path: Path, ending: str) -> None:
    members = {"000.png": RED, "000.txt": b"text", "001.jpg": BLUE, "001.json": b"{}"}
    path = make_tar(tmp_path / f"shard{ending}", members)
    assert list_inputs([str(path)], Columns()).pictures is None
    found = read(path)
    assert list(found) == [f"shard{ending}/000.png", f"shard{ending}/001.jpg"]
    assert [picture.data for picture in found.values()] == [RED, BLUE]


def test_a_torn_tar_gives_what_is_whole_and_says_so(tmp_path: Path) -> None:
    path = make_tar(tmp_path / "shard.tar", {f"{i}.png": RED for i in range(40)})
    # In the middle of a member: 512 bytes of header, then its data.
    size = 512 + -(-len(RED) // 512) * 512
    path.write_bytes(path.read_bytes()[: 20 * size + 512 + len(RED) // 2])
    found = read(path)
    assert found["shard.tar/0.png"].data == found["shard.tar/19.png"].data == RED
    torn = found["shard.tar"]
    assert torn.error == UNREADABLE and "damaged" in (torn.reason or "")
    assert "shard.tar" not in read(path, done=("shard.tar",))


def test_a_tar_without_pictures_says_so(tmp_path: Path) -> None:
    for members in ({}, {"000.txt": b"text", ".hidden.png": RED}):
        path = make_tar(tmp_path / "shard.tar", members)
        assert read(path) == {
            "shard.tar": Encoded("shard.tar", None, UNREADABLE, "The archive holds no picture.")
        }
        assert read(path, done=("shard.tar",)) == {}
    path = make_tar(tmp_path / "shard.tar", {"000.png": RED})
    assert read(path, done=("shard.tar/000.png",)) == {}, "done is not absent"


@pytest.mark.parametrize(
    ("kinds", "busy"), [("file", 1), ("file " * 9, 4), ("tar", 4), ("rows", 4), ("tar file", 4)]
)
def test_an_archive_keeps_every_captioner_busy(kinds: str, busy: int) -> None:
    units = [Unit(kind, "key", "place") for kind in kinds.split()]  # type: ignore[arg-type]
    assert captioners(units, workers=4) == busy


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone", None, "no such file or folder"),
        ("empty", "folder", "no pictures in"),
        ("words.doc", b"x", "neither a folder nor"),
        ("broken.parquet", b"x", "not a Parquet file"),
        ("empty.txt", b"\n", "no pictures in"),
    ],
)
def test_a_wrong_input_is_a_clear_error(
    tmp_path: Path, name: str, content: bytes | str | None, message: str
) -> None:
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content:
        path.mkdir()
    with pytest.raises(SourceError, match=message):
        list_inputs([str(path)], Columns())


def test_inputs_are_of_one_kind(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "urls.txt").write_text("http://example.org/a.png")
    with pytest.raises(SourceError, match="of one kind at a time, got folder and list"):
        list_inputs([str(folder), str(tmp_path / "urls.txt")], Columns())
