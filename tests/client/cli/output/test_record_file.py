"""The output file: killed at any byte, taken up again, never somebody else's destroyed."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from captionbox.cli.output.formats import LINE_FORMATS, Past, Record
from captionbox.cli.output.record_file import RecordFile, RecordFileError
from captionbox.errors import ImageInputError

from tests.client.cli.output.test_formats import result


def record(number: int, failed: bool = False) -> Record:
    if failed:
        return Record(f"{number}.jpg", error=ImageInputError("broken"))
    return Record(f"{number}.jpg", result=result(f"Number {number}."))


def opened(path: Path, name: str, **how: Any) -> RecordFile:
    return RecordFile(path, LINE_FORMATS[name](), how.get("keep", True), how.get("again", False))


def filled(path: Path, name: str) -> bytes:
    """Fill a file with five records, the fourth a failure; return what is in it."""
    file = opened(path, name)
    for number in range(5):
        file.write(record(number, failed=number == 3))
    file.close()
    return path.read_bytes()


@pytest.mark.parametrize("name", LINE_FORMATS)
def test_cut_anywhere_it_is_taken_up_again(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("captionbox.cli.output.part_file.os.fsync", lambda _: None)
    path = tmp_path / "out"
    whole = filled(path, name)
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        complete = whole[:cut].count(b"\n") - (name == "csv")
        if name == "text" and cut and complete < 1:
            # Nothing tells the beginning of such a line from somebody's notes.
            with pytest.raises(RecordFileError, match="left alone"):
                opened(path, name)
            assert path.read_bytes() == whole[:cut]
            continue
        file = opened(path, name)
        for number in range(5):
            past = file.past(f"{number}.jpg")
            if number < complete:
                assert past is (Past.FAILED if number == 3 else Past.CAPTIONED)
            else:
                assert past is Past.NEW
                file.write(record(number, failed=number == 3))
        file.close()
        assert path.read_bytes() == whole


def test_names_are_the_same_however_they_are_spelt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    filled(tmp_path / "out", "jsonl")
    file = opened(tmp_path / "out", "jsonl")
    for source in ("1.jpg", "./1.jpg", "x/../1.jpg", str(tmp_path / "1.jpg")):
        assert file.past(source) is Past.CAPTIONED
    file.close()


def test_captions_corrected_by_hand_stay(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    filled(path, "csv")
    path.write_bytes(path.read_bytes().replace(b"Number 1.", b"My own, better one."))
    before = path.read_bytes().replace(b"My own, better one.", b'"My own, better one."')
    path.write_bytes(before.replace(b"\n", b"\r\n"))
    file = opened(path, "csv")
    assert file.past("1.jpg") is Past.CAPTIONED
    file.close()
    assert path.read_bytes() == before.replace(b"\n", b"\r\n")


def test_failures_can_be_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "out"
    lines = filled(path, "text").splitlines(keepends=True)
    file = opened(path, "text", again=True)
    assert file.past("3.jpg") is Past.NEW
    assert file.past("4.jpg") is Past.CAPTIONED
    file.write(record(3))
    with pytest.raises(RecordFileError, match="another captionbox"):
        opened(path, "text")
    file.close()
    del lines[3]
    assert path.read_bytes() == b"".join(lines) + b"3.jpg\tNumber 3.\n"
    assert [one.name for one in tmp_path.iterdir()] == ["out"]


def test_beginning_anew(tmp_path: Path) -> None:
    path = tmp_path / "out"
    whole = filled(path, "csv")
    file = opened(path, "csv", keep=False)
    assert file.past("1.jpg") is Past.NEW
    file.close()
    assert path.read_bytes() == whole.splitlines(keepends=True)[0]


FOREIGN = [
    b"hello",
    b"hello\nworld\n",
    b"one\ttwo\tthree\n",
    b"\x01\t\x02\n",
    b"\x89PNG\r\n\x1a\n\0\0\0",
    b"\xff\xd8\xff\xe0" + bytes(range(256)).replace(b"\n", b"") + b"\n",
    b"{}\n",
    b'{"a": 1}\n{"b": 2}\n',
    b"image,caption\n1,2\n",
    b"<html>\n",
    b"# Title\n",
    b"\n",
]


@pytest.mark.parametrize("name", LINE_FORMATS)
@pytest.mark.parametrize("content", FOREIGN, ids=range(len(FOREIGN)))
@pytest.mark.parametrize("keep", [True, False])
def test_the_files_of_others_are_left_alone(
    tmp_path: Path, name: str, content: bytes, keep: bool
) -> None:
    path = tmp_path / "precious"
    path.write_bytes(content)
    with pytest.raises(RecordFileError, match=r"precious is left alone: line \d+"):
        opened(path, name, keep=keep)
    assert path.read_bytes() == content


def test_another_format_is_refused(tmp_path: Path) -> None:
    whole = filled(tmp_path / "out", "jsonl")
    for name in LINE_FORMATS:
        if name != "jsonl":
            with pytest.raises(RecordFileError, match="another --out or --format"):
                opened(tmp_path / "out", name)
    assert (tmp_path / "out").read_bytes() == whole


def test_one_process_at_a_time(tmp_path: Path) -> None:
    file = opened(tmp_path / "out", "text")
    with pytest.raises(RecordFileError, match="is being written by another captionbox"):
        opened(tmp_path / "out", "text")
    file.close()
    opened(tmp_path / "out", "text").close()


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    with pytest.raises(RecordFileError, match=r"cannot write .*directory"):
        opened(tmp_path, "text")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(RecordFileError, match="cannot write"):
        opened(tmp_path / "file" / "out", "text")


def test_folders_are_made(tmp_path: Path) -> None:
    opened(tmp_path / "a" / "b" / "out", "text").close()
    assert (tmp_path / "a" / "b" / "out").read_bytes() == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a full disk")
def test_a_full_disk(tmp_path: Path) -> None:
    file = opened(tmp_path / "out", "text")
    full = Path("/dev/full").open("wb", buffering=0)  # noqa: SIM115
    file._file.close()
    file._file = full
    with pytest.raises(OSError, match="No space left"):
        file.write(record(1))
    full.close()


def test_records_survive_the_process(tmp_path: Path) -> None:
    """A process that is killed right after `write` has written."""
    program = (
        "import os, signal, sys\n"
        "from tests.client.cli.output.test_record_file import *\n"
        "file = opened(Path(sys.argv[1]), 'jsonl')\n"
        "for number in range(3): file.write(record(number))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(p for p in sys.path if p))
    root = Path(__file__).resolve().parents[4]
    command = [sys.executable, "-c", program, str(tmp_path / "out")]
    done = subprocess.run(command, env=environment, cwd=root, timeout=240, check=False)
    assert done.returncode == -9
    file = opened(tmp_path / "out", "jsonl")
    assert [file.past(f"{n}.jpg") for n in range(4)] == [Past.CAPTIONED] * 3 + [Past.NEW]
    file.close()


def test_a_long_line_is_written_whole(tmp_path: Path) -> None:
    """Even into a pipe that takes it piece by piece."""
    file = opened(tmp_path / "out", "text")
    read, write = os.pipe()
    file._file.close()
    file._file = os.fdopen(write, "wb", buffering=0)
    seen: list[bytes] = []

    def drain() -> None:
        with os.fdopen(read, "rb") as pipe:
            seen.append(pipe.read())

    thread = threading.Thread(target=drain)
    thread.start()
    file.write(Record("a.jpg", result=result("x" * 1_000_000)))
    file._file.close()
    thread.join()
    assert seen[0] == b"a.jpg\t" + b"x" * 1_000_000 + b"\n"


MARK = b"\xef\xbb\xbf"


@pytest.mark.parametrize("name", LINE_FORMATS)
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("last", [b"", b"end"])
def test_saved_again_by_an_editor(tmp_path: Path, name: str, end: bytes, last: bytes) -> None:
    """With a byte order mark, with Windows' line ends, without an end of the last line."""
    path = tmp_path / "out"
    whole = filled(path, name).replace(b"Number 1.", b"My own.").replace(b"\n", end)
    edited = MARK + (whole if last else whole.removesuffix(end))
    path.write_bytes(edited)
    file = opened(path, name)
    for number in range(5):
        assert file.past(f"{number}.jpg") is (Past.FAILED if number == 3 else Past.CAPTIONED)
    file.write(record(5))
    file.close()
    assert path.read_bytes().startswith(edited)
    file = opened(path, name, again=True)
    assert [file.past(f"{n}.jpg") for n in (2, 3, 4, 5)] == [
        Past.CAPTIONED, Past.NEW, Past.CAPTIONED, Past.CAPTIONED
    ]  # fmt: skip
    file.close()
    assert b"My own." in path.read_bytes()


@pytest.mark.parametrize("name", LINE_FORMATS)
def test_saved_again_as_utf_16(tmp_path: Path, name: str) -> None:
    path = tmp_path / "out"
    content = filled(path, name).decode().encode("utf-16")
    path.write_bytes(content)
    with pytest.raises(RecordFileError, match="UTF-16; save it as UTF-8"):
        opened(path, name)
    assert path.read_bytes() == content


@pytest.mark.parametrize("name", LINE_FORMATS)
def test_a_mark_and_nothing_else(tmp_path: Path, name: str) -> None:
    path = tmp_path / "out"
    path.write_bytes(MARK)
    file = opened(path, name)
    file.write(record(1))
    file.close()
    assert opened(path, name).past("1.jpg") is Past.CAPTIONED


@pytest.mark.parametrize("name", LINE_FORMATS)
@pytest.mark.parametrize("blank", [" ", ""])
def test_an_image_without_a_caption_is_not_done(tmp_path: Path, name: str, blank: str) -> None:
    path = tmp_path / "out"
    file = opened(path, name)
    for number in range(3):
        file.write(record(number))
    file.write(record(9, failed=True))
    file.close()
    for caption in (b"Number 1.", b"Number 1\\."):
        path.write_bytes(path.read_bytes().replace(caption, blank.encode()))
    lines = path.read_bytes().splitlines(keepends=True)
    file = opened(path, name)
    assert [file.past(f"{n}.jpg") for n in (0, 1, 2, 9)] == [
        Past.CAPTIONED, Past.NEW, Past.CAPTIONED, Past.FAILED
    ]  # fmt: skip
    file.write(record(1))
    file.close()
    written = path.read_bytes().splitlines(keepends=True)
    assert sorted(written[:-1]) == sorted(one for one in lines if b"1.jpg" not in one)
    file = opened(path, name)
    assert file.past("1.jpg") is Past.CAPTIONED
    file.close()
    assert path.read_bytes().splitlines(keepends=True) == written


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EIO])
def test_a_file_system_without_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.warns(UserWarning, match="out cannot be locked"):
        file = opened(tmp_path / "out", "text")
    file.write(record(1))
    file.close()
    assert (tmp_path / "out").read_bytes() == b"1.jpg\tNumber 1.\n"


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_that_cannot_settle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(_: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("captionbox.cli.output.part_file.os.fsync", refuse)
    filled(tmp_path / "out", "csv")
    opened(tmp_path / "out", "csv", again=True).close()
