"""Every recipe at its true size on real pictures: train, resume, evaluate, register, serve."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.server import Server
from training.loop.run_directory import complete_checkpoints

ROOT = Path(__file__).resolve().parents[3]
DATA = ROOT.parent / "shared" / "data" / "coco-mini"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1500),
    pytest.mark.skipif(not DATA.is_dir(), reason="no ../shared/data"),
]


def run(home: Path, module: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", f"training.{module}", *arguments],
        env={**os.environ, "BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("recipe", ["compact", "tf-tutorial", "keras-example"])
def test_trains_resumes_evaluates_registers_and_serves(
    recipe: str, tmp_path: Path, start_server: Callable[..., Server]
) -> None:
    home, out = tmp_path / "home", tmp_path / "run"
    data = ("--data", str(DATA))
    # Twenty steps teach so little that the tutorials' recipes may find it time to stop.
    fully = ("--max-steps", "20", "--set", "early_stopping=0")
    run(home, "train", "--config", recipe, *data, *fully, "--out", str(out))
    *earlier, last = complete_checkpoints(out)
    assert last.name == "checkpoint-20"
    assert earlier, "there is nothing to resume from"
    # As if it had been killed while the last checkpoint was being written.
    (last / "trainer_state.json").unlink()
    run(home, "train", "--out", str(out), "--resume", "--max-steps", "20")
    assert complete_checkpoints(out)[-1].name == "checkpoint-20"

    table = run(home, "evaluate", "--model", str(out), *data, "--split", "val")
    assert "CIDEr" in table
    run(home, "register", str(out), "--name", "mine")
    shutil.rmtree(out)

    server = start_server(home, models="mine")
    picture = sorted((DATA / "val2017").iterdir())[0]
    answer = httpx.post(
        f"{server.url}/caption", files={"image": picture.read_bytes()}, timeout=120
    ).json()
    assert answer["captions"][0]["text"]
    assert answer["model"]["name"] == "mine"
    assert answer["model"]["method"] == recipe
