"""ViT-GPT2 at its true size, random weights: from the hub's stand-in to captions over HTTP."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.asking import PICTURE
from tests.checkpoints import write_vit_gpt2
from tests.drawings import caption_of
from tests.hub import Repository, running
from tests.server import ROOT, Server, environment, install

NAME = "nlpconnect/vit-gpt2-image-captioning"
PARAMETERS = 239_195_904
"""Weights of nlpconnect's model: 86.4 million ViT, 152.8 million GPT-2 with cross-attention."""


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_imported_from_the_hub_and_served_beside_compact(
    tiny_model: Path,
    tmp_path: Path,
    start_server: Callable[..., Server],
) -> None:
    home = tmp_path / "bentoml"
    install(home, tiny_model)
    with running() as hub:
        hub.repositories[NAME] = Repository(write_vit_gpt2(tmp_path / "hub", true_size=True))
        # A gigabyte, and the connection breaks twice on its way.
        hub.cuts = [(0.5, "reset"), (0.5, "close")]
        done = subprocess.run(
            [sys.executable, "-m", "models", "import", NAME, "--as", "vit-gpt2"],
            cwd=ROOT,
            env={
                **environment(home),
                "HF_ENDPOINT": hub.url,
                "HF_HOME": str(tmp_path / "hf"),
            },
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    server = start_server(home, models="compact,vit-gpt2")
    with httpx.Client(base_url=server.url, timeout=120) as client:
        described = client.get("/v1/models/vit-gpt2").json()
        assert described["parameters"] == PARAMETERS
        assert described["input"] == {"height": 224, "width": 224, "fit": "squash"}
        compact = client.post("/caption?model=compact", files={"image": PICTURE}).json()
        assert compact["captions"][0]["text"] == caption_of("red ring")
        answer = client.post(
            "/caption?model=vit-gpt2",
            files={"image": PICTURE},
            data={"attention": "true", "num_captions": "2"},
        ).json()
        assert answer["model"]["method"] == "vit-gpt2"
        assert len(answer["captions"]) == 2
        words = [word for caption in answer["captions"] for word in caption["words"]]
        assert words
        for word in words:
            grid = np.array(word["attention"])
            assert grid.shape == (14, 14)
            assert grid.sum() == pytest.approx(1, abs=1e-3)
