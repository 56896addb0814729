"""Text files next to images."""

from __future__ import annotations

from pathlib import Path

import pytest
from captionbox.cli.formats import Record
from captionbox.cli.sidecars import Sidecars
from captionbox.cli.tally import Past
from captionbox.errors import ImageInputError

from tests.client.test_formats import result


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.jpg", "b.jpg", "b.png", "c.tar.jpg"):
        Path(name).write_bytes(b"x")


def good(source: str) -> Record:
    return Record(source, result=result(f"It is\n{source}."))


def bad(source: str) -> Record:
    return Record(source, error=ImageInputError("broken"))


def files() -> dict[str, str]:
    return {
        str(path): path.read_text()
        for path in sorted(Path().rglob("*"))
        if path.is_file() and path.suffix == ".txt"
    }


def test_beside_their_images() -> None:
    sink = Sidecars(None, True, False)
    for source in ("a.jpg", "b.jpg", "b.png", "c.tar.jpg"):
        assert sink.past(source) is Past.NEW
        sink.write(good(source))
        assert sink.past(source) is Past.CAPTIONED
    assert files() == {
        "a.txt": "It is a.jpg.\n",
        "b.jpg.txt": "It is b.jpg.\n",
        "b.png.txt": "It is b.png.\n",
        "c.tar.txt": "It is c.tar.jpg.\n",
    }


def test_failures_are_recorded_until_they_succeed() -> None:
    sink = Sidecars(None, True, False)
    sink.write(bad("a.jpg"))
    assert sink.past("a.jpg") is Past.FAILED
    assert files() == {"a.jpg.error.txt": "broken\n"}
    again = Sidecars(None, True, True)
    assert again.past("a.jpg") is Past.NEW
    again.write(good("a.jpg"))
    assert files() == {"a.txt": "It is a.jpg.\n"}


def test_sidecars_of_others_count() -> None:
    Path("a.txt").write_text("by hand")
    assert Sidecars(None, True, False).past("a.jpg") is Past.CAPTIONED
    assert Sidecars(None, False, False).past("a.jpg") is Past.NEW


def test_in_a_folder_of_their_own(tmp_path: Path) -> None:
    sink = Sidecars(Path("texts"), True, False)
    for source in ("a.jpg", "sub/a.jpg", "../up/a.jpg", str(tmp_path / "x.jpg")):
        sink.write(good(source))
    inside = {str(Path("texts") / tmp_path.relative_to("/") / "x.txt")}
    assert set(files()) == {"texts/a.txt", "texts/sub/a.txt", "texts/up/a.txt"} | inside


def test_of_addresses() -> None:
    sink = Sidecars(None, True, False)
    for query in ("", "?v=1", "?v=2"):
        sink.write(good(f"http://host/x/a.jpg{query}"))
    sink.write(good("http://host/../../a.jpg"))
    assert set(files()) == {
        "host/x/a.jpg.txt", "host/x/a.jpg?v=1.txt", "host/x/a.jpg?v=2.txt", "host/a.jpg.txt"
    }  # fmt: skip
