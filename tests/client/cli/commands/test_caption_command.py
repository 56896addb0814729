"""`captionbox caption` as a process."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from tests.client.captions import line, lines
from tests.client.conftest import Captionbox
from tests.client.stand_in import StandIn, caption_of, picture, problem


def test_a_pipe_gets_captions_in_order_and_nothing_else(
    captionbox: Captionbox, photos: Path
) -> None:
    done = captionbox("caption", "photos")
    assert lines(done.stdout) == [line(number) for number in range(6)]
    assert done.stderr == b""


def test_options_reach_the_server(captionbox: Captionbox, photos: Path, stand_in: StandIn) -> None:
    captionbox(
        "caption", "photos/0.jpg", "--model", "compact", "--num-captions", "2", "--num-beams", "4",
        "--max-length", "20", "--length-penalty", "1.5", "--prompt", "a photo of", "--attention",
        "--rerank",
    )  # fmt: skip
    captionbox("caption", "photos/0.jpg", "--temperature", "0.5", "--top-p", "0.9", "--seed", "0")
    assert stand_in.forms == [
        {
            "model": "compact", "num_captions": "2", "num_beams": "4", "max_length": "20",
            "length_penalty": "1.5", "prompt": "a photo of", "attention": "true", "rerank": "true",
        },
        {"temperature": "0.5", "top_p": "0.9", "seed": "0"},
    ]  # fmt: skip


def test_a_list_on_standard_input(process: Captionbox, photos: Path) -> None:
    text = b"photos/1.jpg\r\n\nphotos/0.jpg\n./photos/1.jpg\nhttp://host/a b.jpg\nphotos/2.jpg"
    done = process("caption", "photos/3.jpg", "-", stdin=text)
    url = "http://host/a%20b.jpg"
    address = f"{url}\t{caption_of(b'picture at ' + url.encode())}"
    assert lines(done.stdout) == [line(3), line(1), line(0), address, line(2)]


def test_a_broken_picture_is_recorded_and_the_others_go_on(
    captionbox: Captionbox, photos: Path, stand_in: StandIn
) -> None:
    (photos / "2.jpg").write_bytes(picture("BROKEN"))
    (photos / "3.jpg").write_bytes(b"")
    arguments = ("caption", "photos", "missing.jpg", "--out", "out.jsonl", "--format", "jsonl")
    done = captionbox(*arguments, code=1)
    records = [json.loads(one) for one in lines((photos.parent / "out.jsonl").read_bytes())]
    failed = {one["image"]: one["error"]["detail"] for one in records if "error" in one}
    assert failed == {
        "photos/2.jpg": "The picture is truncated.",
        "photos/3.jpg": "photos/3.jpg is empty",
        "missing.jpg": "cannot read missing.jpg: No such file or directory",
    }
    assert {one["image"] for one in records if "caption" in one} == {
        f"photos/{number}.jpg" for number in (0, 1, 4, 5)
    }
    assert len(lines(done.stderr)) == 3
    assert sum(stand_in.asked.values()) == 5

    captionbox(*arguments, code=1)
    assert sum(stand_in.asked.values()) == 5

    (photos / "2.jpg").write_bytes(picture("2"))
    (photos / "3.jpg").write_bytes(picture("3"))
    (photos.parent / "missing.jpg").write_bytes(picture("here"))
    captionbox(*arguments, "--retry-failed")
    assert sum(stand_in.asked.values()) == 8
    records = [json.loads(one) for one in lines((photos.parent / "out.jsonl").read_bytes())]
    assert len(records) == 7
    assert all("caption" in one for one in records)


@pytest.mark.parametrize("form", ["text", "jsonl", "csv", "md", "html-alt", "sidecar"])
def test_nothing_is_asked_twice(
    captionbox: Captionbox, photos: Path, stand_in: StandIn, form: str
) -> None:
    (photos / "2.jpg").write_bytes(picture("BROKEN"))
    arguments = ["caption", "photos", "--format", form]
    if form != "sidecar":
        arguments += ["--out", "out"]
    captionbox(*arguments, code=1)
    (photos / "new.jpg").write_bytes(picture("new"))
    captionbox(*arguments, code=1)
    assert sorted(stand_in.asked.values()) == [1] * 7
    captionbox(*arguments, "--no-skip-existing", code=1)
    assert sorted(stand_in.asked.values()) == [2] * 7


def test_sidecars(captionbox: Captionbox, photos: Path) -> None:
    captionbox("caption", "photos", "-f", "sidecar", "-o", "texts")
    found = sorted(path.name for path in (photos.parent / "texts" / "photos").iterdir())
    assert found == [f"{number}.txt" for number in range(6)]


@pytest.mark.parametrize(
    ("answer", "code", "message"),
    [
        (problem(401, "unauthorized", "Not authorised", "Key."), 3, "401 Not authorised"),
        (problem(403, "forbidden", "Forbidden", "No."), 3, "403 Forbidden"),
        (problem(404, "unknown-model", "Unknown model", "None."), 3, "404 Unknown model"),
        (problem(422, "unsupported-option", "Unsupported option", "No."), 3, "422 Unsupported"),
        ({"status": 200}, 3, "is there a Captionbox server"),
        (problem(502, "x", "Bad gateway", "Gone."), 4, "502 Bad gateway"),
    ],
)
def test_what_every_image_would_meet_stops_the_run_and_nothing_is_recorded(
    captionbox: Captionbox,
    photos: Path,
    stand_in: StandIn,
    answer: dict[str, object],
    code: int,
    message: str,
) -> None:
    status = answer["status"]
    assert isinstance(status, int)
    stand_in.script = [(status, {}, json.dumps(answer).encode())] * 100
    for number in range(40):
        (photos / f"more{number}.jpg").write_bytes(picture(str(number)))
    done = captionbox("caption", "photos", "-o", "out", "--concurrency", "2", code=code)
    assert message in lines(done.stderr)[-1]
    assert lines(done.stderr)[-1].startswith("captionbox: ")
    assert (photos.parent / "out").read_bytes() == b""
    assert len(stand_in.paths) < 20
    stand_in.script.clear()
    captionbox("caption", "photos", "-o", "out")
    assert len(lines((photos.parent / "out").read_bytes())) == 46


def test_a_hiccup_is_not_recorded_and_does_not_stop_the_run(
    captionbox: Captionbox, photos: Path, stand_in: StandIn
) -> None:
    stand_in.script = [(500, {}, b""), (504, {}, b"")]
    done = captionbox("caption", "photos", "-o", "out", code=4)
    assert len(lines(done.stderr)) == 2
    assert len(lines((photos.parent / "out").read_bytes())) == 4
    captionbox("caption", "photos", "-o", "out")
    assert len(lines((photos.parent / "out").read_bytes())) == 6


def test_a_busy_server_is_waited_for(
    captionbox: Captionbox, photos: Path, stand_in: StandIn
) -> None:
    stand_in.script = [(429, {"Retry-After": "0"}, b""), (503, {"Retry-After": "0"}, b"")]
    done = captionbox("caption", "photos")
    assert lines(done.stdout) == [line(number) for number in range(6)]


def test_nobody_there(captionbox: Captionbox, photos: Path) -> None:
    done = captionbox(
        "caption", "photos", "--base-url", "http://127.0.0.1:9", "--max-retries", "0", code=4
    )
    assert done.stdout == b""
    assert re.fullmatch(rb"captionbox: cannot reach http://127.0.0.1:9: .*\n", done.stderr)


@pytest.mark.parametrize(
    "arguments",
    [
        ["caption"],
        ["caption", "a.jpg", "--format", "yaml"],
        ["caption", "a.jpg", "--concurrency", "0"],
        ["caption", "a.jpg", "--base-url", "host"],
        ["caption", "a.jpg", "--timeout", "0"],
        ["caption", "a.jpg", "--out", "."],
        ["caption", "a.jpg", "--out", "foreign"],
        ["caption", "a.jpg", "--bad-option"],
        ["nothing"],
        [],
    ],
)
def test_usage_errors(captionbox: Captionbox, tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "foreign").write_bytes(b"precious")
    done = captionbox(*arguments, code=2)
    assert b"Traceback" not in done.stderr
    assert done.stderr or not arguments
    assert (tmp_path / "foreign").read_bytes() == b"precious"


def test_an_empty_folder(captionbox: Captionbox, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = captionbox("caption", "empty", code=2)
    assert done.stdout == b""
    assert done.stderr.startswith(b"captionbox: no images found in empty; --recursive")


@pytest.mark.skipif(os.name != "posix", reason="file names are text elsewhere")
def test_odd_names(captionbox: Captionbox, tmp_path: Path, stand_in: StandIn) -> None:
    odd = [b"caf\xe9.jpg", b"new\nline.jpg", b"tab\there.jpg", b'"quoted".jpg', b"-dash.jpg",
           b"100%.jpg", b"a]b(c).jpg", "ü 日本.jpg".encode()]  # fmt: skip
    (tmp_path / "odd").mkdir()
    for name in odd:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/odd/" + name)).write_bytes(picture(repr(name)))
    for form in ("text", "jsonl", "csv", "md", "html-alt", "sidecar"):
        for _ in range(2):
            captionbox("caption", "odd", "-f", form, "-o", f"out-{form}")
    assert sum(stand_in.asked.values()) == 6 * len(odd)
    json.loads((tmp_path / "out-jsonl").read_bytes().splitlines()[0])


def test_in_a_plain_locale(process: Captionbox, tmp_path: Path) -> None:
    name = "ü.jpg".encode()
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(b"nothing")
    done = process("caption", ".", code=1, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert done.stdout.startswith(name + b"\t\terror: 415")
    assert b"Traceback" not in done.stderr


def test_in_a_plain_locale_a_second_run_knows_the_first(
    process: Captionbox, tmp_path: Path, stand_in: StandIn
) -> None:
    name = "ü.jpg".encode()
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(picture("one"))
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    for form in ("text", "jsonl", "csv", "md", "html-alt", "sidecar"):
        for variables in (plain, plain, {}):
            process("caption", ".", "-f", form, "-o", f"out-{form}", **variables)
        assert sum(stand_in.asked.values()) == 1
        stand_in.asked.clear()
