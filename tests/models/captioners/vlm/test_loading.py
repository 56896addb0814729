"""Weights in the format asked for: which captions they give, and what loading them takes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BlipConfig, BlipForConditionalGeneration

from models.api.metadata import BrokenModelError, ModelMetadata
from models.api.options import CaptionOptions
from models.captioners.vlm.captioner import ImageTextToTextCaptioner
from models.captioners.vlm.checkpoint import open_family
from models.captioners.vlm.step import NetworkState
from models.captioners.vlm.weights import read_weights, stored_dtypes
from models.choose import candidates
from models.registry import captioner_class
from tests.models.captioners.vlm.families import MAKERS, import_tiny
from tests.server import ROOT

_PEAK = """
import json, resource, sys
from pathlib import Path
import torch, transformers
from models.hub.import_model import prepare
from models.captioners.vlm.captioner import ImageTextToTextCaptioner

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) * 1024

what, source, target = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
from models.captioners.vlm.families import blip
from transformers import BlipForConditionalGeneration
# What a process has before it loads anything, caches of compiled code included.
tiny = transformers.BlipConfig(text_config={"num_hidden_layers": 1, "hidden_size": 48,
    "num_attention_heads": 2, "vocab_size": 64}, vision_config={"num_hidden_layers": 1,
    "hidden_size": 48, "num_attention_heads": 2, "image_size": 32})
BlipForConditionalGeneration(tiny)
before = peak()
if what == "import":
    prepare(str(source), target)
else:
    captioner = ImageTextToTextCaptioner.load(source, what)
    # What is mapped counts once it has been read.
    sum(float(weights.sum()) for weights in captioner.family.network.parameters())
print(json.dumps(peak() - before))
"""


@pytest.fixture(scope="module")
def mid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a hub model of 70 million weights in bfloat16: 140 MB."""
    folder = tmp_path_factory.mktemp("mid")
    MAKERS["blip"](folder)
    config = BlipConfig.from_pretrained(folder)
    config.vision_config.update({"hidden_size": 512, "num_hidden_layers": 4, "image_size": 64})
    config.vision_config.update({"intermediate_size": 2048, "num_attention_heads": 8})
    config.text_config.update({"hidden_size": 512, "num_hidden_layers": 10})
    config.text_config.update({"intermediate_size": 2048, "num_attention_heads": 8})
    config.text_config.encoder_hidden_size = 512
    torch.manual_seed(0)
    network = BlipForConditionalGeneration(config).to(torch.bfloat16)
    network.save_pretrained(folder)
    path = folder / "preprocessor_config.json"
    settings = json.loads(path.read_text())
    path.write_text(json.dumps({**settings, "size": {"height": 64, "width": 64}}))
    return folder


def _grown(what: str, source: Path, target: Path) -> int:
    done = subprocess.run(
        [sys.executable, "-c", _PEAK, what, str(source), str(target)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return int(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="peaks are read from /proc")
def test_peak_memory_is_that_of_the_weights_in_the_format_asked_for(
    mid: Path, tmp_path: Path
) -> None:
    size = (mid / "model.safetensors").stat().st_size
    assert stored_dtypes(mid) == {torch.bfloat16}
    imported = tmp_path / "model"
    imported.mkdir()
    assert _grown("import", mid, imported) < 1.3 * size
    assert _grown("bf16", imported, tmp_path) < 1.3 * size
    assert _grown("fp32", imported, tmp_path) < 1.3 * 2 * size


def _imported(name: str, folder: Path, dtype: torch.dtype) -> Path:
    """Return a tiny model directory whose weights are on disk in `dtype`."""
    source, target = folder / "source", folder / "model"
    MAKERS[name](source)
    path = source / "model.safetensors"
    save_file({n: w.to(dtype) for n, w in load_file(path).items()}, path, {"format": "pt"})
    target.mkdir()
    import_tiny(source, target)
    return target


def _pictures(captioner: ImageTextToTextCaptioner, count: int) -> Any:
    spec = captioner.preprocess
    coarse = np.random.default_rng(3).integers(0, 256, (count, 3, 4, 4), dtype=np.uint8)
    large = coarse.repeat(-(-spec.height // 4), 2).repeat(-(-spec.width // 4), 3)
    return np.ascontiguousarray(large[:, :, : spec.height, : spec.width])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", ["blip", "florence2", "kosmos-2", "qwen2_vl"])
def test_widened_weights_are_those_that_transformers_reads(
    tmp_path: Path, name: str, dtype: torch.dtype
) -> None:
    directory = _imported(name, tmp_path, dtype)
    ours = open_family(directory).network
    theirs = type(ours).from_pretrained(directory, dtype=torch.float32)
    expected = {**dict(theirs.named_parameters()), **dict(theirs.named_buffers())}
    found = {**dict(ours.named_parameters()), **dict(ours.named_buffers())}
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert torch.equal(found[key], value) and found[key].dtype == value.dtype, key
    assert ours.generation_config.to_dict() == theirs.generation_config.to_dict()
    assert not ours.training


@pytest.mark.parametrize("name", MAKERS)
def test_bfloat16_captions_like_float32(tmp_path: Path, name: str) -> None:
    directory = _imported(name, tmp_path, torch.float32)
    reference = ImageTextToTextCaptioner.load(directory)
    narrow = ImageTextToTextCaptioner.load(directory, "bf16")
    assert narrow.family.network.dtype == torch.bfloat16
    images = _pictures(reference, 6)
    one, other = _logits(reference, images), _logits(narrow, images)
    found = [float(np.corrcoef(row, like)[0, 1]) for row, like in zip(one, other, strict=True)]
    # Random weights amplify what rounding takes; of another picture there would be nothing alike.
    assert min(found) > 0.8, found
    for (caption,) in narrow.caption(images[:2], CaptionOptions(max_length=6, num_beams=1)):
        assert caption.tokens and caption.log_prob <= 0


def _logits(captioner: ImageTextToTextCaptioner, images: Any) -> Any:
    """Return the first token's logits, float32 `[B, V]`."""
    family = captioner.family
    with torch.inference_mode():
        prefill = family.prefill(
            captioner.pixel_values(images), [captioner.defaults.prompt] * len(images)
        )
        state = NetworkState.start(prefill, len(images))
        logits = family.step(torch.zeros(len(images), dtype=torch.int64), state)
    return logits.clamp(-1e4, 1e4).numpy()


def test_files_of_one_format_are_mapped(tmp_path: Path) -> None:
    directory = _imported("blip", tmp_path, torch.bfloat16)
    assert stored_dtypes(directory) == {torch.bfloat16}
    assert ImageTextToTextCaptioner.narrowest(directory) == "bf16"
    wide = read_weights(directory, torch.float32)
    assert {tensor.dtype for tensor in wide.values()} <= {torch.float32, torch.int64}
    (directory / "model.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(BrokenModelError, match="cannot be read"):
        ImageTextToTextCaptioner.narrowest(directory)


def test_a_large_model_is_not_held_twice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    kind = captioner_class("image-text-to-text")
    monkeypatch.setattr("models.choose.has_bf16", lambda: True)
    metadata = ModelMetadata.model_validate({"method": "image-text-to-text", "preprocess": {}})
    assert candidates(metadata, kind) == ["fp32", "bf16"]
    large = metadata.model_copy(update={"parameters": 3_000_000_000})
    assert candidates(large, kind) == ["bf16"]
    monkeypatch.setattr("models.choose.has_bf16", lambda: False)
    assert candidates(large, kind) == ["fp32"]
