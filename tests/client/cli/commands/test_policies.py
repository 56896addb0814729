"""Which images are asked for, and what becomes of texts that are there."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from tests.client.captions import lines
from tests.client.conftest import Captionbox
from tests.client.stand_in import StandIn, caption_of, picture

HUMAN = "Rex on the beach, by hand\n"


def text_of(number: int) -> str:
    return caption_of(picture(str(number))) + "\n"


@pytest.fixture
def texts(captionbox: Captionbox, photos: Path) -> dict[int, Path]:
    """Caption three pictures; change the second text by hand; write one by hand; one is empty."""
    captionbox("caption", "photos/0.jpg", "photos/1.jpg", "photos/2.jpg", "-f", "txt")
    found = {number: photos / f"{number}.txt" for number in range(6)}
    found[1].write_text(HUMAN)
    found[3].write_text(HUMAN)
    found[4].write_text("")
    return found


def contents(texts: dict[int, Path]) -> list[str | None]:
    return [path.read_text() if path.exists() else None for path in texts.values()]


def test_skip_is_what_is_done_by_default(captionbox: Captionbox, texts: dict[int, Path]) -> None:
    captionbox("caption", "photos", "-f", "txt", "--existing", "skip")
    assert contents(texts) == [text_of(0), HUMAN, text_of(2), HUMAN, text_of(4), text_of(5)]


def test_missing_only_leaves_empty_texts(captionbox: Captionbox, texts: dict[int, Path]) -> None:
    captionbox("caption", "photos", "-f", "txt", "--existing", "missing-only")
    assert contents(texts) == [text_of(0), HUMAN, text_of(2), HUMAN, "", text_of(5)]


def test_what_a_person_wrote_stays(captionbox: Captionbox, texts: dict[int, Path]) -> None:
    arguments = ("caption", "photos", "-f", "txt", "--existing", "overwrite", "--prefix", "ohwx, ")
    captionbox(*arguments, "--preserve-human")
    ours = [f"ohwx, {text_of(number)}" for number in range(6)]
    assert contents(texts) == [ours[0], HUMAN, ours[2], HUMAN, ours[4], ours[5]]
    captionbox(*arguments)
    assert contents(texts) == ours


def test_marks_go_where_their_folder_goes(
    captionbox: Captionbox, texts: dict[int, Path], tmp_path: Path
) -> None:
    texts[0].parent.rename(tmp_path / "moved")
    captionbox("caption", "moved", "-f", "txt", "--overwrite", "--preserve-human", "--suffix", "!")
    assert (tmp_path / "moved" / "0.txt").read_text() == f"{text_of(0).strip()}!\n"
    assert (tmp_path / "moved" / "1.txt").read_text() == HUMAN


def test_append_adds_once(
    captionbox: Captionbox, texts: dict[int, Path], stand_in: StandIn
) -> None:
    texts[3].write_bytes(b"no end")
    wanted = [text_of(0), HUMAN + text_of(1), text_of(2), "no end\n" + text_of(3), text_of(4),
              text_of(5)]  # fmt: skip
    for _ in range(2):
        captionbox("caption", "photos", "-f", "txt", "--existing", "append")
        assert contents(texts) == wanted
    assert stand_in.asked["1.jpg"] == 2


def test_a_table_has_no_policy_that_it_cannot_keep(captionbox: Captionbox, photos: Path) -> None:
    done = captionbox("caption", "photos", "-o", "a.csv", "--existing", "append", code=2)
    assert b"--format txt" in done.stderr
    done = captionbox("caption", "photos", "-o", "a.csv", "--preserve-human", "--overwrite", code=2)
    assert b"who wrote a text" in done.stderr
    done = captionbox("caption", "photos", "--existing", "append", "--overwrite", code=2)
    assert b"exclude each other" in done.stderr
    assert not (photos.parent / "a.csv").exists()


def test_prefix_and_suffix_are_in_every_format(captionbox: Captionbox, photos: Path) -> None:
    for form in ("text", "jsonl", "csv", "md", "html-alt"):
        done = captionbox(
            "caption", "photos/0.jpg", "-f", form, "--prefix", "ohwx, ", "--suffix", " (8k)"
        )
        assert f"ohwx, {text_of(0).strip()} (8k)".encode() in done.stdout


def test_another_ending(captionbox: Captionbox, photos: Path) -> None:
    (photos / "0.txt").write_text(HUMAN)
    (photos / "0.png").write_bytes(picture("png"))
    captionbox("caption", "photos", "-f", "txt", "--caption-extension", "caption")
    assert (photos / "0.jpg.caption").read_text() == text_of(0)
    assert (photos / "1.caption").read_text() == text_of(1)
    assert (photos / "0.txt").read_text() == HUMAN
    for bad in (".jpg", ".", "a/b", ".a b"):
        captionbox("caption", "photos", "-f", "txt", "--caption-extension", bad, code=2)


def test_limit_and_sample(captionbox: Captionbox, photos: Path, stand_in: StandIn) -> None:
    captionbox("caption", "photos", "-f", "txt", "--limit", "2")
    captionbox("caption", "photos", "-f", "txt", "--limit", "2")
    assert sorted(stand_in.asked) == ["0.jpg", "1.jpg", "2.jpg", "3.jpg"]
    stand_in.asked.clear()
    first = captionbox("caption", "photos", "--sample", "3").stdout
    assert captionbox("caption", "photos", "--sample", "3").stdout == first
    assert sorted(stand_in.asked.values()) == [2, 2, 2]
    assert b"standard input" in captionbox("caption", "-", "--sample", "3", code=2).stderr


def test_limit_of_a_list(process: Captionbox, photos: Path) -> None:
    text = "".join(f"photos/{number}.jpg\n" for number in range(6)).encode()
    assert len(lines(process("caption", "-", "--limit", "2", stdin=text).stdout)) == 2


def test_since(captionbox: Captionbox, photos: Path, stand_in: StandIn) -> None:
    now = time.time()
    for number in range(4):
        os.utime(photos / f"{number}.jpg", (now - 86400 * 3, now - 86400 * 3))
    captionbox("caption", "photos", "--since", "2d")
    assert sorted(stand_in.asked) == ["4.jpg", "5.jpg"]
    assert len(lines(captionbox("caption", "photos", "--since", "2001-01-01").stdout)) == 6
    assert captionbox("caption", "photos", "--since", "2999-01-01T10:00").stdout == b""
    assert b"--since is a date" in captionbox("caption", "photos", "--since", "x", code=2).stderr


@pytest.mark.parametrize("form", ["txt", "jsonl", "text"])
def test_a_dry_run_changes_nothing(
    captionbox: Captionbox, photos: Path, stand_in: StandIn, form: str
) -> None:
    out = () if form != "jsonl" else ("-o", "new/a.jsonl")
    arguments = ("caption", "photos", "-f", form, *out)
    done = captionbox(*arguments, "--dry-run", "--limit", "5")
    assert lines(done.stdout) == [f"photos/{number}.jpg" for number in range(5)]
    assert not stand_in.paths
    assert sorted(path.name for path in photos.parent.iterdir()) == ["photos"]
    if form == "text":
        return
    captionbox(*arguments, "--limit", "4")
    before = {path: path.read_bytes() for path in photos.parent.rglob("*") if path.is_file()}
    done = captionbox(*arguments, "--dry-run", "--json")
    assert [json.loads(one)["image"] for one in lines(done.stdout)] == [
        "photos/4.jpg",
        "photos/5.jpg",
    ]
    assert before == {
        path: path.read_bytes() for path in photos.parent.rglob("*") if path.is_file()
    }


def test_the_count_for_programs(captionbox: Captionbox, photos: Path) -> None:
    (photos / "2.jpg").write_bytes(picture("BROKEN"))
    done = captionbox("caption", "photos", "-f", "txt", "--json", code=1)
    assert json.loads(done.stdout) == {
        "captioned": 5, "failed": 1, "unfinished": 0, "done_before": 0, "failed_before": 0,
    }  # fmt: skip
    done = captionbox("caption", "photos/0.jpg", "--json")
    assert json.loads(done.stdout)["caption"] == text_of(0).strip()
