"""BridgeTower at its true size, random weights: imported, and asked over HTTP."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import torch
from PIL import Image
from transformers import BridgeTowerForImageAndTextRetrieval, BridgeTowerProcessor

from tests.asking import PICTURE, caption, check
from tests.matchers import make_hub_bridgetower
from tests.server import ROOT, Server, environment, install

TEXTS = ["a dog", "a red ring on paper", "two cats, asleep on a couch"]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_imported_and_asked_over_http(
    tiny_model: Path, tmp_path: Path, start_server: Callable[..., Server]
) -> None:
    home, hub = tmp_path / "bentoml", tmp_path / "hub"
    install(home, tiny_model)
    make_hub_bridgetower(hub, {})
    processor = BridgeTowerProcessor.from_pretrained(hub)
    network = BridgeTowerForImageAndTextRetrieval.from_pretrained(hub).eval()
    picture = Image.open(io.BytesIO(PICTURE))
    with torch.inference_mode():
        given = processor([picture] * 3, TEXTS, padding=True, return_tensors="pt")
        expected = network(**given).logits.softmax(-1)[:, 1].tolist()
    del network
    done = subprocess.run(
        [sys.executable, "-m", "models", "import", str(hub), "--as", "bridgetower"],
        cwd=ROOT,
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "serve it with CAPTIONBOX_MATCHER=bridgetower" in done.stderr
    server = start_server(home, matcher="bridgetower", timeout_s="300")
    with httpx.Client(base_url=server.url, timeout=300) as client:
        described = client.get("/v1/models/bridgetower").json()
        assert described["kind"] == "matcher"
        assert described["input"] == {"height": 288, "width": 288, "fit": "multiple"}
        assert described["parameters"] > 300_000_000
        response = client.post("/match", files={"image": PICTURE}, data={"texts": TEXTS})
        assert response.status_code == 200, response.text
        found = {one["text"]: one["score"] for one in response.json()["matches"]}
        assert found == pytest.approx(dict(zip(TEXTS, expected, strict=True)), abs=1e-4)
        answer = caption(client, rerank="true", num_captions="2").json()
        first, second = answer["captions"]
        assert first["match_score"] >= second["match_score"]
        assert answer["matcher"]["name"] == "bridgetower"
        # 511 tokens: one more than the network has positions for.
        many = client.post("/match", files={"image": PICTURE}, data={"texts": ["x" * 511]})
        assert "at most 510 tokens are read" in check(many, 422, "invalid-request").detail
