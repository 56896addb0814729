"""Text files next to images."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from captionbox.cli.output.formats import Past, Record
from captionbox.cli.output.part_file import UnwritableError
from captionbox.cli.texts.sidecars import Sidecars
from captionbox.errors import ImageInputError
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.client.cli.output.test_formats import result
from tests.client.conftest import Captionbox
from tests.client.stand_in import StandIn


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
        str(path): path.read_text(encoding="utf-8")
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


def later(*names: str) -> None:
    """Put images into the folder, each a moment after what is there."""
    for name in names:
        time.sleep(0.02)  # file systems keep no finer time
        Path(name).write_bytes(b"x")


def run(sink: Sidecars, *sources: str) -> list[str]:
    """Caption what is new, as the command does; return that."""
    new = [source for source in sources if sink.past(source) is Past.NEW]
    for source in new:
        sink.write(good(source))
    return new


def test_a_twin_that_comes_later_changes_no_name() -> None:
    assert run(Sidecars(None, True, False), "a.jpg") == ["a.jpg"]
    Path("a.txt").write_text("corrected by hand\n")
    later("a.png", "a.webp")
    assert run(Sidecars(None, True, False), "a.jpg", "a.png", "a.webp") == ["a.png", "a.webp"]
    expected = {
        "a.txt": "corrected by hand\n",
        "a.png.txt": "It is a.png.\n",
        "a.webp.txt": "It is a.webp.\n",
    }
    assert files() == expected
    assert run(Sidecars(None, True, False), "a.webp", "a.png", "a.jpg") == []
    # Nor does one that goes again.
    Path("a.png").unlink()
    assert run(Sidecars(None, True, False), "a.webp", "a.jpg") == []
    assert files() == expected


def test_a_twin_that_comes_during_a_run() -> None:
    sink = Sidecars(None, True, False)
    assert run(sink, "a.jpg") == ["a.jpg"]
    later("a.png")
    assert run(sink, "a.png", "a.jpg") == ["a.png"]
    assert files() == {"a.txt": "It is a.jpg.\n", "a.png.txt": "It is a.png.\n"}


@given(
    st.lists(
        st.tuples(st.sampled_from(["come", "go", "run", "write"]), st.sampled_from(range(6))),
        max_size=14,
    )
)
@settings(deadline=None, max_examples=60)
def test_whatever_comes_and_goes_no_text_is_lost_or_given_to_another(
    steps: list[tuple[str, int]],
) -> None:
    """Each text stays where it is and its image is never asked for again."""
    names = ["a.jpg", "a.png", "a.JPG", "A.webp", "a.jpg.png", "b.gif"]
    with TemporaryDirectory() as place, contextlib.chdir(place):
        done: dict[str, Path] = {}
        texts: dict[Path, str] = {}
        for step, number in steps:
            name = names[number]
            if step == "come" and not Path(name).exists():
                later(name)
            elif step == "go" and name not in done:
                Path(name).unlink(missing_ok=True)
            elif step == "write" and name in done:
                # By hand, into the sidecar that the image got.
                texts[done[name]] = f"{name} by hand\n"
                done[name].write_text(texts[done[name]])
            elif step == "run":
                sink = Sidecars(None, True, False)
                before = set(Path().glob("*.txt"))
                for one in (one for one in names if Path(one).exists()):
                    assert (sink.past(one) is Past.CAPTIONED) is (one in done), (one, done)
                    if one not in done:
                        sink.write(good(one))
                        (new,) = set(Path().glob("*.txt")) - before
                        before.add(new)
                        done[one], texts[new] = new, new.read_text(encoding="utf-8")
            assert all(path.read_text(encoding="utf-8") == text for path, text in texts.items())


@pytest.mark.parametrize("content", [b"", b"\n", b" \r\n\t", b"\xef\xbb\xbf\r\n", b"\xff\xfe\n\0"])
def test_an_empty_sidecar_is_no_caption(content: bytes) -> None:
    Path("a.txt").write_bytes(content)
    assert run(Sidecars(None, True, False), "a.jpg") == ["a.jpg"]
    assert files() == {"a.txt": "It is a.jpg.\n"}


@pytest.mark.parametrize("content", [b"x", b"\xef\xbb\xbfx", b"\xff\xfex\0", b"\n\n x", b"\xe9"])
def test_a_sidecar_with_text_is_one(content: bytes) -> None:
    Path("a.txt").write_bytes(content)
    assert run(Sidecars(None, True, False), "a.jpg") == []
    assert Path("a.txt").read_bytes() == content


def test_what_is_written_during_a_run_is_kept() -> None:
    sink = Sidecars(None, True, False)
    assert sink.past("a.jpg") is Past.NEW
    Path("a.txt").write_text("quicker by hand")
    sink.write(good("a.jpg"))
    assert files() == {"a.txt": "quicker by hand"}
    Sidecars(None, False, False).write(good("a.jpg"))
    assert files() == {"a.txt": "It is a.jpg.\n"}


def test_names_that_could_be_two_sidecars() -> None:
    later("x.jpg", "x.jpg.png", "photo.txt", "noend")
    Path("c.txt").mkdir()
    later("c.jpg")
    sources = ("x.jpg", "x.jpg.png", "photo.txt", "noend", "c.jpg")
    assert len(run(Sidecars(None, True, False), *sources)) == 5
    assert run(Sidecars(None, True, False), *sources) == []
    assert files() == {
        "photo.txt": "x",  # the image itself
        "c.jpg.txt": "It is c.jpg.\n",
        "noend.txt": "It is noend.\n",
        "photo.txt.txt": "It is photo.txt.\n",
        "x.jpg.png.txt": "It is x.jpg.png.\n",
        "x.txt": "It is x.jpg.\n",
    }


def test_names_that_are_too_long() -> None:
    url = "http://host/" + "ä" * 200 + "?" + "q" * 3000
    longest = "n" * 251 + ".jpg"  # its sidecar has as many characters as a name may have
    sink = Sidecars(None, True, False)
    for source in (url, url + "2", longest):
        sink.write(good(source))
        assert sink.past(source) is Past.CAPTIONED
    assert len(files()) == 3
    with pytest.raises(UnwritableError, match="File name too long"):
        sink.write(bad(longest))


def test_one_name_that_cannot_be_written_stops_nothing(
    captionbox: Captionbox, photos: Path
) -> None:
    name = "photos/" + "n" * 249 + ".tiff"  # and no room for .txt
    Path(name).write_bytes(b"\xff\xd8\xff")
    (photos / ("n" * 249 + ".jpg")).write_bytes(b"\xff\xd8\xff2")
    done = captionbox("caption", "photos", "-f", "sidecar", code=1)
    assert done.stderr.count(b"File name too long") == 2
    assert len(list(photos.glob("*.txt"))) == 6


def test_a_file_where_the_folder_is_to_be(captionbox: Captionbox, photos: Path) -> None:
    Path("out").write_text("x")
    done = captionbox("caption", "photos", "-f", "sidecar", "-o", "out", code=2)
    assert done.stderr == b"captionbox: out: File exists\n"


def test_overwriting_is_asked_for(captionbox: Captionbox, photos: Path, stand_in: StandIn) -> None:
    (photos / "0.txt").write_text("by hand")
    captionbox("caption", "photos", "-f", "sidecar")
    assert (photos / "0.txt").read_text(encoding="utf-8") == "by hand"
    captionbox("caption", "photos", "-f", "sidecar", "--overwrite")
    assert (photos / "0.txt").read_text(encoding="utf-8").startswith("A picture called")
    assert stand_in.asked["0.jpg"] == 1 and stand_in.asked["1.jpg"] == 2
