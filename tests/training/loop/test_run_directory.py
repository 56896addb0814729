"""A run's folder: what must hold before anything is trained."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from training.loop.run_directory import (
    RunError,
    append_log,
    complete_checkpoints,
    prepare,
    require_space,
)
from training.train import main as train_command


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB, where we may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    if os.geteuid() != 0 or mount is None:
        pytest.skip("only root can mount a file system")
    done = subprocess.run([mount, "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], check=False)
    if done.returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    # Lazily: what a failed command had open may still be open.
    subprocess.run(["umount", "-l", folder], check=True)


def message_of(shapes: Path, out: Path, caplog: pytest.LogCaptureFixture, *more: str) -> str:
    arguments = ["--config", "compact", "--data", str(shapes), "--out", str(out), *more]
    assert train_command(arguments) == 2
    message = caplog.records[-1].getMessage()
    assert "\n" not in message
    return message


def test_small_disk_is_refused_before_training(
    small_disk: Path, shapes: Path, caplog: pytest.LogCaptureFixture
) -> None:
    message = message_of(shapes, small_disk / "run", caplog)
    assert re.search(r"4 MB free, [3-5]\d\d MB needed for checkpoints", message)
    assert not (small_disk / "run" / "recipe.json").exists()


def test_full_disk_is_refused_before_training(
    small_disk: Path, shapes: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(OSError, match="No space"), (small_disk / "ballast").open("wb") as file:
        while True:
            file.write(b"x" * 65536)
            file.flush()
    message = message_of(shapes, small_disk / "run", caplog)
    assert "cannot be written" in message or "0 MB free" in message


def test_cache_on_a_small_disk_is_refused_before_training(
    small_disk: Path, tmp_path: Path, shapes: Path, caplog: pytest.LogCaptureFixture
) -> None:
    big = ("--image-cache", str(small_disk), "--set", "model.image_height=512")
    tiny = ("--set", "model.backbone=tiny", "--set", "bf16=off")
    message = message_of(shapes, tmp_path / "run", caplog, *big, *tiny)
    assert "free, 4 MB needed to cache 12 pictures" in message
    assert not (tmp_path / "run" / "recipe.json").exists()


def test_free_space_without_a_disk_to_fill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = shutil.disk_usage(tmp_path)._replace(free=150_000_000)
    monkeypatch.setattr("training.data.machine.shutil.disk_usage", lambda _: free)
    require_space(tmp_path, 3_000_000, averaged=False)
    for parameters, averaged, needed in (
        (3_000_000, True, "156 MB"),
        (100_000_000, True, "5.2 GB"),
    ):
        with pytest.raises(RunError, match=f"150 MB free, {needed} needed for checkpoints"):
            require_space(tmp_path, parameters, averaged)
    # What is there already will be replaced, not added to.
    (tmp_path / "checkpoint").write_bytes(bytes(10_000_000))
    require_space(tmp_path, 3_000_000, averaged=True)


def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "run", Path("/proc/run")):
        with pytest.raises(RunError, match="cannot be written: "):
            prepare(out, resume=False)


def test_probing_leaves_nothing(tmp_path: Path) -> None:
    prepare(tmp_path / "run", resume=False)
    assert list((tmp_path / "run").iterdir()) == []


def test_only_whole_checkpoints_count(tmp_path: Path) -> None:
    for name, state in (("90", "{}"), ("100", "{}"), ("110", '{"cut'), ("120", None), ("x", "{}")):
        folder = tmp_path / f"checkpoint-{name}"
        folder.mkdir()
        if state is not None:
            (folder / "trainer_state.json").write_text(state)
    found = complete_checkpoints(tmp_path)
    assert [folder.name for folder in found] == ["checkpoint-90", "checkpoint-100"]


def test_log_is_one_object_a_line(tmp_path: Path) -> None:
    append_log(tmp_path, {"step": 1})
    append_log(tmp_path, {"step": 2, "text": "two\nlines"})
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2]
