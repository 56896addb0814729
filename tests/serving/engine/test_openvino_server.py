"""A model with OpenVINO graphs, from the command that makes them to captions over HTTP."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from models.api.device import has_openvino
from models.export_openvino import add_graphs
from tests.asking import PICTURE
from tests.checkpoints import write_vit_gpt2
from tests.server import ROOT, Server, environment, install

pytestmark = pytest.mark.skipif(
    not has_openvino(), reason="no OpenVINO: pip install -r requirements.lock"
)


def models(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return python(home, "-m", "models", *arguments)


def python(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.mark.long
def test_imported_exported_and_served(
    tiny_model: Path, tiny_matcher: Path, tmp_path: Path, start_server: Callable[..., Server]
) -> None:
    home = tmp_path / "bentoml"
    install(home, tiny_model)
    install(home, tiny_matcher, "bridgetower")
    write_vit_gpt2(tmp_path / "source")
    imported = models(home, "import", str(tmp_path / "source"), "--as", "vit-gpt2", "--openvino")
    assert imported.returncode == 0, imported.stderr
    assert "fp32: log-probabilities off by 0.00" in imported.stderr
    refused = models(home, "export-openvino", "bridgetower")
    assert refused.returncode == 2
    assert "the method 'bridgetower' has no graphs for OpenVINO" in refused.stderr
    done = models(home, "export-openvino", "vit-gpt2", "--weights", "int8")
    assert done.returncode == 0, done.stderr
    assert "serve it with CAPTIONBOX_BACKEND=openvino" in done.stderr

    server = start_server(home, models="vit-gpt2", backend="openvino")
    with httpx.Client(base_url=server.url, timeout=60) as client:
        computes = client.get("/v1/models/vit-gpt2").json()["computes_in"]
        assert (computes["backend"], computes["precision"]) == ("openvino", "int8")
        answer = client.post(
            "/caption",
            files={"image": PICTURE},
            data={"attention": "true", "num_captions": "2"},
        )
        assert answer.status_code == 200, answer.text
        captions = answer.json()["captions"]
        assert len(captions) == 2
        assert any(caption["words"] for caption in captions)
    assert "vit-gpt2 computes in openvino int8" in server.tail()


@pytest.mark.long
def test_a_server_of_graphs_needs_no_torch(
    tiny_model: Path, tmp_path: Path, start_server: Callable[..., Server]
) -> None:
    """Neither torch nor transformers can be imported in any of its processes, and it captions."""
    model, home, without = (tmp_path / name for name in ("model", "bentoml", "without"))
    shutil.copytree(tiny_model, model)
    add_graphs(model, ("fp32",))
    install(home, model)
    without.mkdir()
    (without / "sitecustomize.py").write_text(
        "import sys; sys.modules['torch'] = sys.modules['transformers'] = None"
    )
    server = start_server(home, variables={"PYTHONPATH": str(without)})
    with httpx.Client(base_url=server.url, timeout=60) as client:
        computes = client.get("/v1/models/compact").json()["computes_in"]
        assert (computes["backend"], computes["backend_asked"]) == ("openvino", "auto")
        for options in ({"attention": "true"}, {"num_captions": "3"}, {"temperature": "1"}):
            answer = client.post("/caption", files={"image": PICTURE}, data=options)
            assert answer.status_code == 200, answer.text
    assert "compact computes in openvino fp32" in server.tail()
