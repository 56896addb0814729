"""Several engine workers agree on a precision, which `/v1/models` tells, and on the last word."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from serving.contract import run_record
from serving.engine import loading
from tests.server import ROOT, Server

_WORKER = """
import sys
from pathlib import Path
from models import choose
choose.candidates = lambda *_: ["fp32", "int8"]  # every processor has both
# Each worker would find another format to be the fastest.
wanted = sys.argv[2]
choose._seconds = lambda captioner, *_: 1 if captioner.network.precision == wanted else 2
from serving.engine import loading
captioner = loading.load("compact", Path(sys.argv[1]), "auto")
print(captioner.network.precision)
"""


def test_workers_that_start_together_compute_in_one_precision(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(run_record._VARIABLE, str(tmp_path))
    assert run_record.chosen("compact") is None
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", _WORKER, str(tiny_model), wanted],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        for wanted in ("fp32", "int8")
    ]
    found = {worker.communicate(timeout=120)[0].strip() for worker in workers}
    assert [worker.returncode for worker in workers] == [0, 0]
    chosen = run_record.chosen("compact")
    assert chosen is not None and found == {chosen.precision}


def test_record_is_gone_when_the_server_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(run_record._VARIABLE, "")
    program = (
        "import os; from serving.contract import run_record as r; r.open_record(); "
        "print(os.environ[r._VARIABLE])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    folder = done.stdout.strip()
    assert folder and not Path(folder).exists()


def test_models_tell_what_they_compute_in(
    bentoml_home: Path, start_server: Callable[..., Server]
) -> None:
    server = start_server(bentoml_home, precision="int8", engine_workers="2")
    (model,) = httpx.get(f"{server.url}/v1/models").json()["data"]
    assert model["computes_in"] == {
        "precision": "int8",
        "asked": "int8",
        "backend": "torch",
        "backend_asked": "auto",
        "ms_per_caption": {},
    }
    assert len(server.workers("captionbox-engine")) == 2


def test_a_method_that_cannot_compute_so_ends_the_start(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from models.captioners.cnn_transformer.captioner import CnnTransformerCaptioner

    monkeypatch.delenv(run_record._VARIABLE, raising=False)
    monkeypatch.setattr(CnnTransformerCaptioner, "precisions", ("fp32",))
    with pytest.raises(ValueError, match="computes in fp32, not in bf16"):
        loading.load("compact", tiny_model, "bf16")


def test_the_first_has_the_last_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(run_record._VARIABLE, str(tmp_path))
    assert run_record.last_word() == ""
    assert run_record.leave_last_word("the model is\n damaged")
    assert run_record.leave_last_word("the model is damaged, says another")
    assert run_record.last_word() == "the model is damaged"
    monkeypatch.setenv(run_record._VARIABLE, str(tmp_path / "gone"))
    assert not run_record.leave_last_word("no folder")
    monkeypatch.delenv(run_record._VARIABLE)
    assert not run_record.leave_last_word("no run") and run_record.last_word() == ""
