"""The command as somebody meets it who has just installed it: what goes wrong is told, and how."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from captionbox.cli.output.format_names import Format, chosen_format
from hypothesis import given
from hypothesis import strategies as st

from tests.client.captions import line, lines
from tests.client.cli.run.test_caption_signals import on_a_terminal
from tests.client.conftest import Captionbox
from tests.client.stand_in import StandIn, picture
from tests.server import free_port

NOBODY = "http://127.0.0.1:9"


@pytest.mark.parametrize(
    "arguments",
    [
        ["caption", "photos"],
        ["caption", "photos", "-o", "out.csv"],
        ["alt", "site"],
        ["match", "photos/0.jpg", "a dog"],
        ["models"],
        ["check"],
    ],
)
def test_no_server_is_told_at_once(
    captionbox: Captionbox, photos: Path, arguments: list[str]
) -> None:
    (photos.parent / "site").mkdir()
    (photos.parent / "site" / "a.html").write_text("<img src=http://host/a.jpg>")
    began = time.monotonic()
    done = captionbox(*arguments, code=4, CAPTIONBOX_BASE_URL=NOBODY)
    assert time.monotonic() - began < 5
    (told,) = lines(done.stderr)
    assert told.startswith(f"captionbox: cannot reach {NOBODY}: connection refused; `make serve`")
    assert "CAPTIONBOX_BASE_URL" in told


def test_no_such_host_is_told_at_once(captionbox: Captionbox, photos: Path) -> None:
    began = time.monotonic()
    done = captionbox("caption", "photos", "--base-url", "http://nowhere.invalid:3000", code=4)
    assert time.monotonic() - began < 20
    assert b"there is no host of that name" in done.stderr and b"make serve" not in done.stderr


def test_a_server_that_is_to_start_is_waited_for_on_request(
    photos: Path, command_environment: dict[str, str]
) -> None:
    port = free_port()
    command = ["captionbox", "caption", "photos", "--max-retries", "20"]
    process = subprocess.Popen(
        [*command, "--base-url", f"http://127.0.0.1:{port}"],
        cwd=photos.parent,
        env=command_environment,
        stdout=subprocess.PIPE,
    )
    time.sleep(3)
    assert process.poll() is None
    from tests.client.stand_in import serve

    with serve(port):
        assert process.communicate(timeout=240)[0].count(b"A picture") == 6


def test_a_server_that_restarts_is_waited_for(
    photos: Path, command_environment: dict[str, str]
) -> None:
    from tests.client.stand_in import serve

    with serve() as state:
        port = int(state.url.rsplit(":", 1)[1])
        state.delay = 0.2
        process = subprocess.Popen(
            ["captionbox", "caption", "photos", "--concurrency", "1", "--base-url", state.url],
            cwd=photos.parent,
            env=command_environment,
            stdout=subprocess.PIPE,
        )
        deadline = time.monotonic() + 100
        while sum(state.answered.values()) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
    time.sleep(1)
    with serve(port):
        assert process.communicate(timeout=240)[0].count(b"A picture") == 6
    assert process.returncode == 0


@pytest.mark.parametrize("command", [["caption", "photos/0.jpg"], ["check"], ["models"]])
def test_a_missing_key_is_told_with_the_option(
    captionbox: Captionbox, photos: Path, stand_in: StandIn, command: list[str]
) -> None:
    stand_in.key = "right"
    for key in ("", "wrong-key"):
        done = captionbox(*command, code=3, CAPTIONBOX_API_KEY=key)
        (told,) = lines(done.stderr)
        assert told.startswith("captionbox: 401 Not authorised: ")
        assert "CAPTIONBOX_API_KEY" in told and "--api-key" in told and "wrong-key" not in told


@pytest.mark.parametrize("path", ["/v1", "/v1/"])
def test_the_address_for_other_clients(
    captionbox: Captionbox, photos: Path, stand_in: StandIn, path: str
) -> None:
    for command in (["caption", "photos"], ["check"], ["match", "photos/0.jpg", "dog"]):
        done = captionbox(*command, "--base-url", stand_in.url + path, code=3)
        assert f"this one wants {stand_in.url} " in done.stderr.decode()
        assert len(lines(done.stderr)) == 1


def test_something_else_at_the_address(captionbox: Captionbox, stand_in: StandIn) -> None:
    stand_in.script = [(404, {"Content-Type": "text/html"}, b"<h1>Not found</h1>")]
    assert b"is that a Captionbox server" in captionbox("check", code=3).stderr


@pytest.mark.parametrize(
    ("out", "form"),
    [
        ("out", Format.TEXT), ("a.txt", Format.TEXT), ("a.tsv", Format.TEXT), ("a.b", Format.TEXT),
        ("a.csv", Format.CSV), ("x/A.CSV", Format.CSV), ("a.json.csv", Format.CSV),
        ("a.jsonl", Format.JSONL), ("a.ndjson", Format.JSONL), ("a.md", Format.MD),
        ("a.html", Format.HTML_ALT), ("a.htm", Format.HTML_ALT),
    ],
)  # fmt: skip
def test_the_ending_says_the_format(out: str, form: Format) -> None:
    assert chosen_format(None, Path(out)) is form
    for named in Format:
        assert chosen_format(named, Path(out)) is named
    assert chosen_format(None, None) is Format.TEXT


@given(st.text(min_size=1).filter(lambda text: "\0" not in text))
def test_every_name_has_a_format_or_a_reason(name: str) -> None:
    from captionbox.cli.output.endings import UsageError

    try:
        assert chosen_format(None, Path(name)) in Format
    except UsageError as error:
        assert "--format" in str(error)


def test_a_table_is_a_table(captionbox: Captionbox, photos: Path) -> None:
    captionbox("caption", "photos", "-o", "out.csv")
    captionbox("caption", "photos", "-o", "out.jsonl")
    written = lines((photos.parent / "out.csv").read_bytes())
    assert written[0] == "image,caption,confidence,alternatives,model,error" and len(written) == 7
    assert all(json.loads(one) for one in lines((photos.parent / "out.jsonl").read_bytes()))
    done = captionbox("caption", "photos", "-o", "out.json", code=2)
    assert b".jsonl" in done.stderr and not (photos.parent / "out.json").exists()
    captionbox("caption", "photos", "-o", "out.json", "--format", "jsonl")


def test_nothing_to_do_is_told(captionbox: Captionbox, tmp_path: Path, stand_in: StandIn) -> None:
    (tmp_path / "empty" / "deep").mkdir(parents=True)
    (tmp_path / "empty" / "deep" / "a.jpg").write_bytes(picture("a"))
    (tmp_path / "notes.txt").write_text("no <b>page</b>")
    (tmp_path / "a.jpg").write_bytes(picture("a"))
    (tmp_path / "old.csv").write_text("mine")
    for command, told in (
        (["caption", "empty"], "no images found in empty; --recursive"),
        (["caption", "empty", "-o", "new.csv"], "no images found in empty; --recursive"),
        (["caption", "empty", "-r", "--exclude", "deep"], "no images found in empty\n"),
        (["alt", "empty"], "no pages (.htm, .html, .xhtml) found in empty"),
        (["alt", "notes.txt"], "notes.txt is not an HTML page"),
        (["alt", "a.jpg"], "a.jpg is not an HTML page"),
        (["alt", "old.csv"], "old.csv is not an HTML page"),
        (["caption", "nowhere/*.jpg", "--exclude", "nowhere"], "no images found in nowhere/*.jpg"),
    ):
        done = captionbox(*command, code=2)
        assert done.stderr.decode().startswith(f"captionbox: {told}") and not done.stdout
    assert not stand_in.paths and not (tmp_path / "new.csv").exists()


def test_templates_are_pages(captionbox: Captionbox, tmp_path: Path) -> None:
    for name in ("page.php", "part.vue", "page.HTML"):
        (tmp_path / name).write_text("<?php echo 1 ?><img src=a.jpg>")
        (tmp_path / "a.jpg").write_bytes(picture("a"))
        assert captionbox("alt", name).stdout == f"{name}: 1 written\n".encode()


def test_a_failure_on_a_terminal_is_told_once(
    photos: Path, stand_in: StandIn, command_environment: dict[str, str]
) -> None:
    (photos / "2.jpg").write_bytes(picture("BROKEN"))
    command = ["captionbox", "caption", "photos", "missing.jpg", "--base-url", stand_in.url]
    code, shown = on_a_terminal(command, photos.parent, command_environment, output=True)
    assert code == 1
    assert shown.count("422 Broken image") == 1 and shown.count("No such file") == 1
    assert shown.count("missing.jpg") == 2  # the record's name, and the message's
    code, shown = on_a_terminal(command, photos.parent, command_environment, output=False)
    assert shown.count("422 Broken image") == 1 and shown.count("No such file") == 1


def test_a_failure_in_one_pipe_is_told_once(
    photos: Path, stand_in: StandIn, command_environment: dict[str, str]
) -> None:
    (photos / "2.jpg").write_bytes(picture("BROKEN"))
    done = subprocess.run(
        ["captionbox", "caption", "photos", "--base-url", stand_in.url],
        cwd=photos.parent,
        env=command_environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=240,
        check=False,
    )
    assert len(lines(done.stdout)) == 6


def test_the_reason_to_stop_is_told_once(
    captionbox: Captionbox, photos: Path, stand_in: StandIn
) -> None:
    stand_in.script = [(502, {}, b"")] * 100
    done = captionbox("caption", "photos", "--concurrency", "1", code=4)
    assert len(lines(done.stderr)) == 5  # four images, and the reason to stop
    assert lines(done.stderr)[-1] == "captionbox: 502 Bad Gateway (request id request-1)"


@pytest.mark.parametrize("again", [["-o", "out.csv"], ["-f", "sidecar"]])
def test_no_idle_bar(
    photos: Path, stand_in: StandIn, command_environment: dict[str, str], again: list[str]
) -> None:
    command = ["captionbox", "caption", "photos", *again, "--base-url", stand_in.url]
    on_a_terminal(command, photos.parent, command_environment, output=True)
    code, shown = on_a_terminal(command, photos.parent, command_environment, output=True)
    assert (code, shown.splitlines()) == (0, ["0 captioned, 6 done before"])


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_any_encoding_of_the_terminal(process: Captionbox, tmp_path: Path, encoding: str) -> None:
    page = tmp_path / "日本-ü.html"
    page.write_text("<img src=a.jpg>")
    (tmp_path / "a.jpg").write_bytes(picture("a"))
    done = process("alt", page.name, PYTHONIOENCODING=encoding)
    assert b"1 written" in done.stdout and b'alt="' in page.read_bytes()
    done = process("match", "a.jpg", "日本", "--json", PYTHONIOENCODING=encoding)
    assert json.loads(done.stdout)["matches"][0]["text"] == "日本"
    process("match", "a.jpg", "日本", PYTHONIOENCODING=encoding)
    process("caption", "日本.jpg", code=1, PYTHONIOENCODING=encoding)


@pytest.mark.skipif(sys.platform == "win32", reason="file names are text there")
def test_odd_names_are_told(process: Captionbox, tmp_path: Path) -> None:
    names = [b"a [1].jpg", b"b::c.jpg", b" d .jpg", b"e\xe9.jpg", b"zip::s3://x.jpg", b"*.jpg"]
    for name in names:
        path = os.path.join(os.fsencode(tmp_path), name.replace(b"/", b"_"))  # noqa: PTH118
        Path(os.fsdecode(path)).write_bytes(picture(repr(name)))
    shown = lines(process("caption", ".", "a [1].jpg", "*.jpg").stdout.replace(b"\xe9", b"?"))
    assert len(shown) == len(names)


def test_photos_stay_photos(captionbox: Captionbox, photos: Path) -> None:
    assert lines(captionbox("caption", "photos").stdout) == [line(number) for number in range(6)]
