"""The command, with Ray: killed, stopped and gone on, it ends with what the server says."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil
import pyarrow.parquet
import pytest

from jobs.caption_dataset import main
from tests.drawings import NAMES, draw, encode
from tests.server import ROOT, Server, environment, free_port

COPIES = 250
"""Of each picture: as many as the workers are busy with while they are told to stop."""

TOTAL = 16 * COPIES + 2
OPTIONS = {"num_beams": "4", "num_captions": "2"}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of many good pictures and two bad ones."""
    root = tmp_path_factory.mktemp("pictures")
    for number, name in enumerate(NAMES):
        first = root / f"{number}-0.png"
        first.write_bytes(encode(draw(name)))
        for copy in range(1, COPIES):
            os.link(first, root / f"{number}-{copy}.png")
    (root / "torn.png").write_bytes((root / "0-0.png").read_bytes()[:200])
    (root / "words.jpg").write_text("not a picture at all, though it is named so")
    return root


def start(
    home: Path, pictures: Path, output: Path, *more: str, **variables: str
) -> subprocess.Popen[str]:
    options = [f"--{name.replace('_', '-')}={value}" for name, value in OPTIONS.items()]
    command = ("--model", "compact", "--part-seconds", "0.2", *options)
    return subprocess.Popen(
        [
            *(sys.executable, "jobs/caption_dataset.py", "--input", str(pictures)),
            *("--output", str(output), "--workers", "1", "--batch-size", "4", *command, *more),
        ],
        cwd=ROOT,
        env={**environment(home), **variables},
        stderr=subprocess.PIPE,
        text=True,
        # As from a terminal: Ctrl+C reaches this group.
        start_new_session=True,
    )


def wait_for_parts(output: Path, process: subprocess.Popen[str], count: int) -> None:
    while len(list(output.glob("part-*.parquet"))) < count:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)


def table(output: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pyarrow.parquet.read_table(output).to_pylist()
    return found


# Four servers and clusters start one after the other, on a machine that may be busy.
@pytest.mark.long
@pytest.mark.timeout(900)
def test_killed_stopped_and_run_again_it_equals_the_server(
    bentoml_home: Path, pictures: Path, start_server: Callable[..., Server], tmp_path: Path
) -> None:
    output = tmp_path / "out.parquet"
    # In bfloat16 a word may depend on what else is in the batch.
    server = start_server(bentoml_home, precision="fp32")
    precision = ("--precision", "fp32")

    killed = start(bentoml_home, pictures, output, *precision)
    wait_for_parts(output, killed, 1)
    children = psutil.Process(killed.pid).children(recursive=True)
    killed.kill()
    killed.communicate()
    first = len(table(output))
    assert 0 < first < TOTAL

    stopped = start(bentoml_home, pictures, output, *precision)
    wait_for_parts(output, stopped, len(list(output.glob("part-*.parquet"))) + 1)
    os.killpg(stopped.pid, signal.SIGINT)
    said = stopped.communicate(timeout=300)[1]
    assert stopped.returncode == 130, said
    assert "stopped:" in said and "the same command goes on" in said and "Traceback" not in said
    second = len(table(output))
    assert first < second < TOTAL
    assert f"{second - first:,} pictures" in said

    last = start(bentoml_home, pictures, output)
    said = last.communicate(timeout=300)[1]
    assert last.returncode == 0, said
    assert f"done: {TOTAL - second:,} pictures" in said and "a second" in said

    found = {row["image"]: row for row in table(output)}
    assert len(found) == len(table(output)) == TOTAL
    assert found.keys() == {path.name for path in pictures.iterdir()}
    assert {row["version"] for row in found.values()} == {"test"}
    with httpx.Client(base_url=server.url, timeout=60) as client:
        for path in sorted(pictures.glob("*-7.png")):
            files = {"image": path.read_bytes()}
            answer = client.post("/caption", files=files, data=OPTIONS).json()
            expected = [(it["text"], it["confidence"]) for it in answer["captions"]]
            row = found[path.name]
            others = [(it["caption"], it["confidence"]) for it in row["alternatives"]]
            assert [text for text, _ in expected] == [row["caption"], *(it[0] for it in others)]
            scores = [row["confidence"], *(it[1] for it in others)]
            assert scores == pytest.approx([score for _, score in expected], abs=1e-3)
            assert row["error"] is None
        for name in ("torn.png", "words.jpg"):
            files = {"image": (pictures / name).read_bytes()}
            problem = client.post("/caption", files=files).json()
            assert problem["type"] == f"/problems/{found[name]['error']}"
            assert problem["detail"] == found[name]["reason"]
            assert found[name]["caption"] is None

    # The kill leaves no cluster behind, once Ray's agents have tried for a minute to say what they
    # saw; at most what the init process has not yet waited for.
    left = psutil.wait_procs(children, timeout=240)[1]
    assert [child for child in left if child.status() != psutil.STATUS_ZOMBIE] == []


# A second cluster's start: what differs is only where the workers run.
@pytest.mark.slow
def test_on_a_cluster_the_model_travels(
    tiny_model: Path, bentoml_home: Path, pictures: Path, tmp_path: Path
) -> None:
    ray = shutil.which("ray", path=str(Path(sys.executable).parent))
    assert ray is not None
    address = f"127.0.0.1:{free_port()}"
    # A cluster lets in whoever has its token.
    env = {
        **environment(bentoml_home),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
    }
    head = subprocess.Popen(
        [
            *(ray, "start", "--head", "--block", "--num-cpus", "2", "--port", address[10:]),
            *("--include-dashboard", "false"),
        ],
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        output = tmp_path / "out.parquet"
        run = start(bentoml_home, pictures, output, "--address", address, **env)
        said = run.communicate(timeout=250)[1]
        assert run.returncode == 0, said
        assert len({row["image"] for row in table(output)}) == TOTAL
    finally:
        head.terminate()
        head.wait(120)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--num-beams", "99"], "--num-beams: Input should be less than or equal to 8, got '99'"),
        (["--prompt", "a photo of"], "cannot honour the option 'prompt'"),
        (["--workers", "-1"], "--workers is at least 0"),
        (["--top-p", "0.5"], "top_p applies to sampling: give temperature as well"),
    ],
)
def test_a_wrong_option_is_one_clear_line(
    tiny_model: Path,
    tmp_path: Path,
    arguments: list[str],
    message: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    output = tmp_path / "out.parquet"
    command = ["--input", str(tmp_path), "--output", str(output), "--model", str(tiny_model)]
    assert main([*command, *arguments]) == 2
    assert message in caplog.text
    assert not output.exists()


def test_another_model_or_other_options_need_another_output(
    tiny_model: Path, pictures: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from jobs.results import Job
    from jobs.sink import open_sink
    from models.api.options import CaptionOptions

    output = tmp_path / "out.parquet"
    job = Job(model="other", version="1", precision="fp32", options=CaptionOptions())
    with open_sink(str(output), 0) as sink:
        sink.start(job)
    command = ["--input", str(pictures), "--output", str(output), "--model", str(tiny_model)]
    assert main(command) == 2
    assert "holds captions of other:1 in fp32, default options" in caplog.text
