"""`captionbox caption` and the world around it: signals, pipes, terminals."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.client.captions import line, lines
from tests.client.stand_in import StandIn, picture


def test_a_list_that_grows(
    photos: Path, stand_in: StandIn, command_environment: dict[str, str]
) -> None:
    """Captions come while standard input is still open."""
    process = subprocess.Popen(
        ["captionbox", "caption", "-", "--base-url", stand_in.url],
        cwd=photos.parent,
        env=command_environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin
    assert process.stdout
    for number in range(3):
        process.stdin.write(b"photos/%d.jpg\n" % number)
        process.stdin.flush()
        assert process.stdout.readline().decode() == line(number) + "\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(240) == 130
    process.stdin.close()
    process.stdout.close()


def test_a_reader_who_leaves(
    photos: Path, stand_in: StandIn, command_environment: dict[str, str]
) -> None:
    for number in range(600):
        (photos / f"more{number}.jpg").write_bytes(picture(str(number)))
    command = (
        f"captionbox caption photos --base-url {stand_in.url} | head -1; echo ${{PIPESTATUS[0]}}"
    )
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=photos.parent,
        env=command_environment,
        capture_output=True,
        timeout=240,
        check=False,
    )
    assert lines(done.stdout) == [line(0), "141"]
    assert done.stderr == b""
    assert len(stand_in.paths) < 300


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_finishes_what_is_on_its_way(
    photos: Path,
    stand_in: StandIn,
    command_environment: dict[str, str],
    number: signal.Signals,
    code: int,
) -> None:
    stand_in.delay = 0.3
    for extra in range(100):
        (photos / f"more{extra}.jpg").write_bytes(picture(f"more{extra}"))
    process = subprocess.Popen(
        ["captionbox", "caption", "photos", "-o", "out", "--concurrency", "4"],
        cwd=photos.parent,
        env=command_environment | {"CAPTIONBOX_BASE_URL": stand_in.url},
    )
    deadline = time.monotonic() + 240
    while len(stand_in.asked) < 6 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(number)
    assert process.wait(240) == code
    written = lines((photos.parent / "out").read_bytes())
    assert len(written) == len(stand_in.asked) == sum(stand_in.answered.values())
    assert 6 <= len(written) < 90


def test_a_second_signal_ends_at_once(
    photos: Path, stand_in: StandIn, command_environment: dict[str, str]
) -> None:
    stand_in.delay = 200
    process = subprocess.Popen(
        ["captionbox", "caption", "photos", "-o", "out"],
        cwd=photos.parent,
        env=command_environment | {"CAPTIONBOX_BASE_URL": stand_in.url},
    )
    deadline = time.monotonic() + 240
    while len(stand_in.asked) < 6 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(100) == 130  # well before the answers come
    assert (photos.parent / "out").read_bytes() == b""


def on_a_terminal(
    command: list[str], cwd: Path, environment: dict[str, str], *, output: bool
) -> tuple[int, str]:
    """Run a command whose standard error, or output too, is a terminal; return what that shows."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env=environment | {"TERM": "xterm", "COLUMNS": "120"},
        stdin=subprocess.DEVNULL,
        stdout=theirs if output else subprocess.DEVNULL,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    while select.select([ours], [], [], 240)[0]:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # Linux tells so that nobody is there any more
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    text = re.sub(r"\x1b\[[0-9;]*m", "", shown.decode(errors="replace"))
    return process.wait(240), text


def test_a_terminal_shows_progress_rate_and_time_left(
    photos: Path, stand_in: StandIn, command_environment: dict[str, str]
) -> None:
    stand_in.delay = 0.3
    (photos / "2.jpg").write_bytes(picture("BROKEN"))
    command = ["captionbox", "caption", "photos", "-o", "out", "--concurrency", "1"]
    code, shown = on_a_terminal(
        [*command, "--base-url", stand_in.url], photos.parent, command_environment, output=True
    )
    assert code == 1
    assert "6/6" in shown
    assert re.search(r"\d+\.\d/s", shown)
    assert re.search(r"left 0:00:0[1-9]", shown)
    assert "photos/2.jpg: 422 Broken image" in shown
    assert "5 captioned, 1 failed" in shown
    assert shown.count("\x1b[?25h") >= shown.count("\x1b[?25l") > 0


def test_captions_on_a_terminal_are_not_mixed_with_a_bar(
    photos: Path, stand_in: StandIn, command_environment: dict[str, str]
) -> None:
    command = ["captionbox", "caption", "photos", "--base-url", stand_in.url]
    code, shown = on_a_terminal(command, photos.parent, command_environment, output=True)
    assert code == 0
    assert shown.splitlines() == [line(number) for number in range(6)] + ["6 captioned"]
