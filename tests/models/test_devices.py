"""Every method and family on a device that is not the processor, and what `find_device` says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from models.api.device import CPU, BackendError, Device, DeviceError
from models.registry import METHODS, load_captioner
from models.runtimes.devices import find_device
from models.runtimes.formats import PrecisionError
from tests.models.captioners.vlm.families import MAKERS, import_tiny
from tests.server import ROOT

_CAPTIONERS = ("compact", "vit-gpt2", *MAKERS)
_OTHERWISE = (
    ("compact", "in bf16"),
    ("vit-gpt2", "in bf16"),
    ("compact", "in training"),
    ("vit-gpt2", "in training"),
)
_NAMES = ("mixed", "bridgetower", *_CAPTIONERS, *(f"{name} {how}" for name, how in _OTHERWISE))


@pytest.fixture(scope="module")
def found(
    tiny_model: Path, vit_gpt2: Path, tiny_matcher: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """What went wrong with each of `_NAMES`, run there side by side with the processor."""
    directories = {"compact": tiny_model, "vit-gpt2": vit_gpt2}
    for name, make in MAKERS.items():
        source, target = tmp_path_factory.mktemp(name), tmp_path_factory.mktemp(f"{name}-model")
        make(source)
        import_tiny(source, target)
        directories[name] = target
    jobs: list[dict[str, Any]] = [{"name": "mixed", "kind": "mixed"}]
    jobs.append({"name": "bridgetower", "kind": "match", "directory": str(tiny_matcher)})
    for name, directory in directories.items():
        jobs.append({"name": name, "kind": "caption", "directory": str(directory)})
    for name, how in _OTHERWISE:
        kind, directory = f"caption {how}", directories[name]
        jobs.append({"name": f"{name} {how}", "kind": kind, "directory": str(directory)})
    done = subprocess.run(
        [sys.executable, "-m", "tests.on_elsewhere", json.dumps(jobs)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return results


@pytest.mark.parametrize("name", _NAMES)
def test_captions_there_are_those_of_the_processor(found: dict[str, str], name: str) -> None:
    assert not found[name], found[name]


def test_every_method_is_tried_there() -> None:
    """The two tutorials' networks are the one of `compact`; `MAKERS` has every family."""
    tried = {"compact", "vit-gpt2", "bridgetower", "image-text-to-text"}
    assert set(METHODS) == tried | {"tf-tutorial", "keras-example"}


def test_devices_are_found_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert find_device() == find_device("cpu") == CPU
    with pytest.raises(DeviceError, match="no CUDA here"):
        find_device("cuda")
    with pytest.raises(DeviceError, match="'gpu' is no device; take auto, cpu or cuda"):
        find_device("gpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert find_device() == Device("cuda")
    assert find_device("cuda:1") == Device("cuda:1")
    with pytest.raises(DeviceError, match="no cuda:2 here: there are 2 GPUs, from cuda:0"):
        find_device("cuda:2")


def test_int8_is_the_processors(tiny_model: Path) -> None:
    with pytest.raises(PrecisionError, match=r"cuda does not compute in int8 .* fp32 or bf16"):
        load_captioner(tiny_model, "int8", device=Device("cuda"))


def test_only_one_file_asks_what_there_is() -> None:
    """Whoever guesses a device for itself puts inputs where the network is not."""
    guesses = re.compile(
        r"\.cuda\(|cuda\.(is_available|device_count|is_bf16)|accelerator\.is_avail"
    )
    found = [
        path.relative_to(ROOT).as_posix()
        for package in ("jobs", "models", "serving", "training")
        for path in sorted((ROOT / package).rglob("*.py"))
        if guesses.search(path.read_text(encoding="utf-8"))
    ]
    assert found == ["models/runtimes/devices.py"]


def test_graphs_compute_on_the_processor(vit_gpt2: Path) -> None:
    with pytest.raises(BackendError, match="OpenVINO computes on the processor here, not on cuda"):
        load_captioner(vit_gpt2, "fp32", "openvino", Device("cuda"))
