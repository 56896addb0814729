"""`captionbox undo`: a folder as it was, byte for byte."""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from captionbox.cli.output.formats import LINE_FORMATS, Record
from captionbox.cli.output.journal import RunJournal
from captionbox.cli.output.past_runs import past_runs, take_back
from captionbox.cli.output.policies import Existing
from captionbox.cli.output.record_file import RecordFile
from captionbox.cli.texts.sidecars import Sidecars
from captionbox.errors import ImageInputError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.client.captions import lines
from tests.client.cli.output.test_formats import result
from tests.client.conftest import Captionbox
from tests.client.stand_in import picture


def snapshot(folder: Path) -> dict[str, tuple[bytes | None, int, int]]:
    """Return every file and folder: content, permissions, time."""
    found = {}
    for path in sorted(folder.rglob("*")):
        state = path.lstat()
        content = path.read_bytes() if path.is_file() else None
        time = state.st_mtime_ns if path.is_file() else 0
        found[str(path.relative_to(folder))] = (content, state.st_mode, time)
    return found


@pytest.mark.parametrize(
    "arguments",
    [
        ("-f", "txt"),
        ("-f", "txt", "--overwrite"),
        ("-f", "txt", "--existing", "append"),
        ("-f", "txt", "-o", "deep/texts"),
        ("-o", "deep/new.csv"),
        ("-o", "old.jsonl"),
        ("-o", "old.jsonl", "--overwrite"),
        ("-o", "old.jsonl", "--retry-failed"),
    ],
)
def test_a_run_is_taken_back(
    captionbox: Captionbox, photos: Path, arguments: tuple[str, ...]
) -> None:
    (photos / "4.jpg").write_bytes(picture("BROKEN"))
    (photos / "2.txt").write_text("by hand")
    (photos / "2.txt").chmod(0o600)
    os.utime(photos / "2.txt", (1_000_000_000, 1_000_000_000))
    captionbox("caption", "photos/0.jpg", "photos/4.jpg", "-o", "old.jsonl", code=1)
    with (photos.parent / "old.jsonl").open("ab") as file:
        file.write(b'{"torn')
    before = snapshot(photos.parent)
    captionbox("caption", "photos", *arguments, code=1)
    assert snapshot(photos.parent) != before
    told = captionbox("undo", "--dry-run")
    assert b"would be" in told.stdout
    captionbox("undo")
    assert snapshot(photos.parent) == before


def test_runs_are_taken_back_one_by_one(captionbox: Captionbox, photos: Path) -> None:
    states = [snapshot(photos.parent)]
    for ending in (".txt", ".caption", ".txt"):
        captionbox(
            "caption", "photos", "-f", "txt", "--caption-extension", ending, "--overwrite",
            "--prefix", str(len(states)),
        )  # fmt: skip
        states.append(snapshot(photos.parent))
    listed = json.loads(captionbox("undo", "--list", "--json").stdout)
    assert [one["files"] for one in listed] == [7, 7, 7]
    for state in states[-2::-1]:
        captionbox("undo")
        assert snapshot(photos.parent) == state
    assert b"no run" in captionbox("undo", code=2).stderr


def test_what_somebody_changed_since_is_left_alone(captionbox: Captionbox, photos: Path) -> None:
    captionbox("caption", "photos", "-f", "txt")
    (photos / "3.txt").write_text("better")
    done = captionbox("undo", code=1)
    assert lines(done.stderr) == [f"{photos / '3.txt'}: was changed since, and is left as it is"]
    assert sorted(path.name for path in photos.glob("*.txt")) == ["3.txt"]

    captionbox("caption", "photos", "-o", "out.jsonl")
    out = photos.parent / "out.jsonl"
    corrected = out.read_bytes().replace(b"A picture", b"A photograph", 1)
    out.write_bytes(corrected)
    captionbox("undo", code=1)
    assert out.read_bytes() == corrected


def test_only_of_a_folder(captionbox: Captionbox, photos: Path, tmp_path: Path) -> None:
    shutil.copytree(photos, tmp_path / "other")
    before = snapshot(photos)
    captionbox("caption", "photos", "-f", "txt")
    captionbox("caption", "other", "-f", "txt")
    captionbox("undo", "photos")
    assert snapshot(photos) == before
    assert (tmp_path / "other" / "0.txt").exists()


def test_pages_and_descriptions(captionbox: Captionbox, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "a.jpg").write_bytes(picture("a"))
    page = tmp_path / "site" / "index.html"
    page.write_bytes(b'\xff<img src="a.jpg">\r\n')
    before = snapshot(tmp_path / "site")
    captionbox("alt", "site")
    assert b"alt=" in page.read_bytes()
    captionbox("undo")
    assert snapshot(tmp_path / "site") == before


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
def test_descriptions_in_pictures(captionbox: Captionbox, tmp_path: Path) -> None:
    from PIL import Image

    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.jpg", "b.png", "c.tiff", "d.jpg"):
        Image.effect_noise((64, 48), 90).convert("RGB").save(folder / name)
        os.utime(folder / name, (1_000_000_000, 1_000_000_000))
    states = [snapshot(folder)]
    for arguments in ((), ("--overwrite", "--prefix", "Now: "), ("--existing", "append")):
        captionbox("xmp", "photos", *arguments)
        states.append(snapshot(folder))
    assert states[2] != states[1]
    assert states[3] == states[2], "nothing is appended to what Captionbox wrote"
    for state in states[1::-1]:
        captionbox("undo")
        assert snapshot(folder) == state


def test_no_journal_can_be_kept(captionbox: Captionbox, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    state = {"CAPTIONBOX_STATE_DIR": str(tmp_path / "file")}
    done = captionbox("caption", "photos", "-f", "txt", **state)
    assert len(lines(done.stderr)) == 1
    assert b"this run cannot be undone" in done.stderr
    assert (photos / "0.txt").exists()


def test_no_key_is_kept(captionbox: Captionbox, photos: Path) -> None:
    captionbox("caption", "photos", "-f", "txt", "--api-key", "secret-1")
    [run] = past_runs()
    assert b"secret" not in run.journal.read_bytes()


NAMES = st.sampled_from(["a.jpg", "a.png", "b.jpg", "B.jpg", "deep/c.jpg", "caf\udce9.jpg"])
OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["skip", "overwrite", "append", "missing-only", "jsonl", "csv", "anew"]),
        st.lists(st.tuples(NAMES, st.booleans()), max_size=5),
        st.integers(0, 2),
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.dictionaries(NAMES, st.sampled_from(["", "by hand\n", "more\r\nlines"]), max_size=4),
    OPERATIONS,
    st.randoms(use_true_random=False),
)
def test_any_run_cut_off_anywhere_is_taken_back(
    texts: dict[str, str],
    operations: list[tuple[str, list[tuple[str, bool]], int]],
    chance: random.Random,
) -> None:
    with TemporaryDirectory() as name:
        here, folder = Path.cwd(), Path(name, "work")
        state = Path(name, "state", "runs")
        folder.mkdir()
        os.chdir(folder)
        try:
            for source in ("a.jpg", "a.png", "b.jpg", "deep/c.jpg"):
                Path(source).parent.mkdir(exist_ok=True)
                Path(source).write_bytes(b"x")
            for source, text in texts.items():
                Path(source).with_suffix(".txt").write_text(text)
            before = snapshot(folder)
            for kind, pictures, cut in operations:
                journal = RunJournal(state, ["run"])  # each is taken up again
                work(kind, pictures, journal)
                journal.close(finished=False)
                newest = Path("out.jsonl")
                if cut and kind == "jsonl" and newest.exists() and pictures:
                    content = newest.read_bytes()
                    last = content.rfind(b"\n", 0, -1) + 1
                    newest.write_bytes(content[: chance.randint(last, len(content))])
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("CAPTIONBOX_STATE_DIR", str(state.parent))
                for run in past_runs():
                    assert not take_back(run, dry_run=False).left
            assert snapshot(folder) == before
        finally:
            os.chdir(here)


def work(kind: str, pictures: list[tuple[str, bool]], journal: RunJournal) -> None:
    if kind in LINE_FORMATS or kind == "anew":
        form = "jsonl" if kind == "anew" else kind
        sink: RecordFile | Sidecars = RecordFile(
            Path(f"out.{form}"), LINE_FORMATS[form](), kind != "anew", True, journal
        )
    else:
        sink = Sidecars(None, True, False, existing=Existing(kind), journal=journal)
    for source, good in pictures:
        error = None if good else ImageInputError("broken")
        sink.write(Record(source, result(f"It is {source}") if good else None, error))
    sink.close()
