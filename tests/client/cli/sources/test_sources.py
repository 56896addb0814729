"""From arguments to images."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from captionbox.cli.sources.sources import expand, identity, once, tidy


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (
        "a.jpg", "B.PNG", "notes.txt", ".hidden.jpg", "10.jpg", "2.jpg", "odd [1].jpg",
        "sub/c.webp", "sub/deep/d.avif", ".git/e.jpg", "sub/.cache/f.jpg",
    ):  # fmt: skip
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def names(argument: str, recursive: bool = False) -> list[str]:
    return list(expand(argument, recursive))


FLAT = ["photos/10.jpg", "photos/2.jpg", "photos/B.PNG", "photos/a.jpg", "photos/odd [1].jpg"]


def test_a_folder() -> None:
    for spelling in ("photos", "photos/", "./photos/."):
        assert names(spelling) == FLAT


def test_a_folder_and_its_folders() -> None:
    deeper = ["photos/sub/c.webp", "photos/sub/deep/d.avif"]
    assert names("photos", recursive=True) == FLAT + deeper


def test_links_to_folders_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "photos" / "sub" / "round").symlink_to(tmp_path / "photos")
    assert names("photos", recursive=True) == [*FLAT, "photos/sub/c.webp", "photos/sub/deep/d.avif"]


def test_patterns() -> None:
    assert names("photos/*.jpg") == [name for name in FLAT if name.endswith("jpg")]
    assert names("photos/**/*.avif") == ["photos/sub/deep/d.avif"]
    assert names("photos/s?b") == ["photos/sub/c.webp"]
    assert names("photos/[ab].jpg") == ["photos/a.jpg"]


def test_a_file_is_taken_whatever_its_name_is() -> None:
    for name in ("photos/notes.txt", "photos/.hidden.jpg", "photos/odd [1].jpg"):
        assert names(name) == [name]


def test_what_is_not_there_is_for_the_reader_to_say() -> None:
    assert names("photos/missing.jpg") == ["photos/missing.jpg"]
    assert names("photos/*.gif") == ["photos/*.gif"]


def test_each_once(tmp_path: Path) -> None:
    link = tmp_path / "photos" / "link.jpg"
    link.symlink_to("a.jpg")
    given = ["photos/a.jpg", "./photos/a.jpg", str(tmp_path / "photos/a.jpg"), "photos/link.jpg"]
    tidied = [source for argument in given for source in expand(argument, False)]
    assert list(once(tidied)) == ["photos/a.jpg", "photos/link.jpg"]


def test_urls_are_made_fit_for_markup() -> None:
    assert tidy("http://host/a b(1).jpg?q=<x>%20") == "http://host/a%20b%281%29.jpg?q=%3Cx%3E%20"
    assert tidy("https://bücher.example/ä.jpg") == "https://bücher.example/ä.jpg"
    assert identity("http://host/a.jpg") == "http://host/a.jpg"
    assert names("http://host/*.jpg") == ["http://host/*.jpg"]


def test_names_that_are_no_text(tmp_path: Path) -> None:
    name = os.fsdecode(b"photos/caf\xe9.jpg")
    Path(name).write_bytes(b"x")
    assert name in names("photos")
