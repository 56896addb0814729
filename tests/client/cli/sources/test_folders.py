"""Which folders are searched: not those that systems keep for themselves, nor what is excluded."""

from __future__ import annotations

from pathlib import Path

import pytest
from captionbox.cli.sources.folders import SYSTEM_FOLDERS, Exclusions, is_left_out
from captionbox.cli.sources.sources import expand
from hypothesis import given
from hypothesis import strategies as st

from tests.client.conftest import Captionbox
from tests.client.stand_in import StandIn, picture

HIDDEN = (".thumbnails", ".Trash-1000", ".AppleDouble", ".git", ".@__thumb")


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def put(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(picture(name))


@pytest.mark.parametrize(
    "name",
    [
        *sorted(SYSTEM_FOLDERS),
        *HIDDEN,
        "@eaDir",
        "$RECYCLE.BIN",
        "__MACOSX",
        "System Volume Information",
    ],
)
def test_folders_of_systems_are_no_pictures(name: str) -> None:
    put("a.jpg", f"{name}/b.jpg", f"sub/{name}/deep/c.jpg", "sub/d.jpg", "sub/._e.jpg")
    assert is_left_out(name)
    assert list(expand(".", True)) == ["a.jpg", "sub/d.jpg"]
    assert list(expand("**/*.jpg", False)) == ["a.jpg", "sub/d.jpg"]
    # Who names one means it.
    assert list(expand(name, True)) == [f"{name}/b.jpg"]
    assert list(expand(f"{name}/*.jpg", True)) == [f"{name}/b.jpg"]
    assert list(expand(f"./{name}/b.jpg", True)) == [f"{name}/b.jpg"]


@pytest.mark.parametrize("name", ["eaDir", "recycle", "my lost+found things", "#1", "@home", "$"])
def test_folders_of_people_are(name: str) -> None:
    put(f"{name}/a.jpg")
    assert list(expand(".", True)) == [f"{name}/a.jpg"]


@pytest.mark.parametrize(
    ("pattern", "covered"),
    [
        ("*_small.jpg", ["photos/a_small.jpg", "a_small.jpg", "http://h/x/a_small.jpg"]),
        ("drafts", ["drafts/a.jpg", "x/drafts/y/a.jpg", "drafts"]),
        ("drafts/", ["drafts/a.jpg"]),
        ("2024/*", ["photos/2024/a.jpg"]),
        ("photos/2024", ["./photos/2024/a.jpg", "/srv/photos/2024/a.jpg"]),
        ("[ab].jpg", ["x/a.jpg", "b.jpg"]),
    ],
)
def test_exclusions(pattern: str, covered: list[str]) -> None:
    excluded = Exclusions([pattern])
    assert all(map(excluded.cover, covered))
    for other in ("photos/2023/c.jpg", "draft/c.jpg", "c.jpg", "http://host/c.jpg"):
        assert not excluded.cover(other)


@given(st.lists(st.text(max_size=10)), st.text(max_size=30))
def test_no_pattern_is_too_odd(patterns: list[str], path: str) -> None:
    Exclusions(patterns).cover(path)
    assert not Exclusions().cover(path)


def test_the_commands_exclude(captionbox: Captionbox, stand_in: StandIn) -> None:
    put("photos/a.jpg", "photos/a_small.jpg", "photos/raw/b.jpg", "photos/c.jpg")
    captionbox(
        "caption", "photos", "photos/c.jpg", "-r", "--exclude", "*_small.*", "--exclude", "raw",
        "--exclude", "c.jpg",
    )  # fmt: skip
    assert stand_in.asked == {"a.jpg": 1}
    done = captionbox("caption", "photos", "--exclude", "*", code=2)
    assert b"no images found in photos" in done.stderr


def test_pages_are_excluded(captionbox: Captionbox, stand_in: StandIn) -> None:
    put("site/a.jpg", "site/index.html", "site/old/x.html", "site/@eaDir/index.html")
    for page in ("site/index.html", "site/old/x.html", "site/@eaDir/index.html"):
        Path(page).write_text("<img src=/a.jpg>")
    done = captionbox("alt", "site", "--exclude", "old")
    assert done.stdout == b"site/index.html: 1 written\n"


def test_brackets_in_the_names_of_folders() -> None:
    put("album [2020]/a.jpg", "album [2020]/b.png", "album 2/c.jpg", "x/[y]/d.jpg")
    assert list(expand("album [2020]/*.jpg", False)) == ["album [2020]/a.jpg"]
    assert list(expand("x/[y]/*", False)) == ["x/[y]/d.jpg"]
    assert list(expand("album [0-9]/*.jpg", False)) == ["album 2/c.jpg"]
    here = Path.cwd()
    assert list(expand(f"{here}/album [2020]/*.jpg", False)) == [f"{here}/album [2020]/a.jpg"]
