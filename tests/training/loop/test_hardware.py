"""What a run computes on, and what it says of its speed."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from models.api.device import CPU, Device, DeviceError
from models.api.preprocessing import PreprocessSpec
from models.backbones import build_backbone
from models.captioners.cnn_transformer.network import CnnTransformer
from training.data.coco import load_split
from training.data.dataset import CaptionDataset, TrainingItem
from training.data.pictures import PictureReader
from training.loop import hardware
from training.loop.hardware import Hardware, default_workers, exact_float32
from training.loop.session import training_arguments
from training.loop.speed import Speed
from training.recipes.recipe import Augmentation, load_recipe
from training.train import main as train

GPU = Device("cuda")


def test_workers_follow_cores_and_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "available_cores", lambda: 16)
    assert default_workers(CPU) == 1
    assert default_workers(GPU) == 15
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert default_workers(GPU) == 3
    assert Hardware.find("cpu", 6) == Hardware(CPU, 6)


def test_a_gpu_by_its_number_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "find_device", lambda asked: Device(asked))
    with pytest.raises(DeviceError, match=r"CUDA_VISIBLE_DEVICES=1 .* --device cuda train on this"):
        Hardware.find("cuda:1")
    assert Hardware.find("cuda:0").device.kind == "cuda"


def test_a_gpu_gets_pinned_batches_from_lasting_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "is_torch_tf32_available", lambda: True)
    found = Hardware(GPU, 14).arguments()
    assert found["dataloader_num_workers"] == 14
    assert found["dataloader_persistent_workers"] and found["dataloader_pin_memory"]
    assert found["tf32"] is True and not found["use_cpu"]
    alone = Hardware(CPU, 0).arguments()
    assert not alone["dataloader_persistent_workers"] and not alone["dataloader_pin_memory"]
    assert alone["dataloader_prefetch_factor"] is None and alone["tf32"] is None


def test_of_several_gpus_one_is_used_and_it_says_how_to_use_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(hardware, "gpu_count", lambda: 4)
    # Elsewhere than the processor, so that `transformers` counts the GPUs; there is none here.
    monkeypatch.setenv("ACCELERATE_TORCH_DEVICE", "meta")
    arguments = training_arguments(
        load_recipe("compact"), tmp_path, 1, False, Hardware(Device("meta"))
    )
    assert arguments.n_gpu == 1, "nn.DataParallel takes over where there are more"
    with caplog.at_level(logging.INFO):
        Hardware(GPU).say("training.train")
    assert "4 GPUs are here and one is used" in caplog.text
    assert "torchrun --standalone --nproc-per-node 4 -m training.train" in caplog.text


def test_validation_computes_in_float32_whatever_training_does() -> None:
    before = torch.backends.fp32_precision
    with exact_float32():
        assert torch.backends.fp32_precision == "ieee"
    assert torch.backends.fp32_precision == before


def test_only_the_trunk_is_compiled_and_keeps_its_names() -> None:
    network = object.__new__(CnnTransformer)
    torch.nn.Module.__init__(network)
    network.trunk = build_backbone("tiny")
    names = set(network.state_dict())
    network.compile_trunk()
    assert network.trunk._compiled_call_impl is not None
    assert set(network.state_dict()) == names


def test_speed_leaves_out_validations() -> None:
    now = [0.0]
    speed = Speed(processes=2, clock=lambda: now[0])
    with speed.waiting():
        now[0] += 1
    speed.count(30)
    now[0] += 3
    with speed.pausing():
        now[0] += 100
    assert speed.take() == {"pictures_per_s": 15.0, "data_wait": 0.25}
    assert speed.take() == {}


def test_a_run_tells_how_fast_it_goes(
    shapes: Path, tiny_overrides: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "run"
    sets = [part for one in (*tiny_overrides, "epochs=5") for part in ("--set", one)]
    arguments = ["--config", "compact", "--data", str(shapes), "--out", str(out), *sets]
    with caplog.at_level(logging.INFO):
        assert train([*arguments, "--device", "cpu", "--workers", "0"]) == 0
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    entry = next(entry for entry in log if "loss" in entry)
    assert entry["pictures_per_s"] > 0 and 0 <= entry["data_wait"] <= 1
    assert "pictures/s" in caplog.text and "waiting for data" in caplog.text
    assert train([*arguments, "--device", "gpu"]) == 2
    assert "'gpu' is no device" in caplog.text


class _Words:
    def encode(self, caption: str) -> list[int]:
        return [len(caption)]


def test_lasting_workers_learn_that_another_epoch_has_begun(shapes: Path) -> None:
    """What they read is what this process would read in the same epoch."""
    part = load_split(shapes, "train")
    reader = PictureReader(PreprocessSpec(height=32, width=32))
    augmentation = Augmentation(flip=0.5, brightness=0.3)
    data = CaptionDataset(part.images, _Words(), reader, augmentation, 1, 20, seed=3)
    loader = DataLoader(data, 4, num_workers=2, collate_fn=list, persistent_workers=True)

    def epoch(number: int) -> list[TrainingItem]:
        data.set_epoch(number)
        return [item for batch in loader for item in batch]

    first, second = epoch(0), epoch(1)
    for number, items in ((0, first), (1, second)):
        data.set_epoch(number)
        for index, item in enumerate(items):
            expected = data[index]
            assert item.captions == expected.captions
            assert np.array_equal(item.pixels, expected.pixels)
    assert any(not np.array_equal(a.pixels, b.pixels) for a, b in zip(first, second, strict=True))
