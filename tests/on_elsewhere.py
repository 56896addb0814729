"""Runs models on the device of `tests.elsewhere`, in a process of its own.

    python -m tests.on_elsewhere JOBS

JOBS is a JSON list of objects. Prints one JSON object: what went wrong by the job's name, or "".
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from models.api.captioner import Captioner
from models.api.device import Device
from models.api.options import CaptionOptions
from models.registry import load_captioner, load_matcher
from tests.elsewhere import NAME, Elsewhere, register

_DEVICE = Device(NAME)

_OPTIONS = (
    CaptionOptions(num_beams=1),
    CaptionOptions(num_beams=3, num_captions=2, max_length=8),
    CaptionOptions(temperature=1.2, top_p=0.9, seed=5, num_captions=2, max_length=8),
)
"""A search, one that looks again for captions that differ, and sampling."""


def _pictures(captioner: Any, count: int) -> np.ndarray:
    """Return large shapes, `uint8 [count, 3, H, W]`."""
    spec = captioner.preprocess
    coarse = np.random.default_rng(3).integers(0, 256, (count, 3, 4, 4), dtype=np.uint8)
    tall = coarse.repeat(-(-spec.height // 4), 2).repeat(-(-spec.width // 4), 3)
    return np.ascontiguousarray(tall[:, :, : spec.height, : spec.width])


def caption(directory: str) -> None:
    """Caption with every kind of option; what is said is what the processor says."""
    there = load_captioner(Path(directory), device=_DEVICE)
    _compare(load_captioner(Path(directory)), there)


def caption_in_bf16(directory: str) -> None:
    """Caption in bfloat16, which not every processor can, so that there is nothing to compare."""
    there = load_captioner(Path(directory), "bf16", device=_DEVICE)
    for asked in _OPTIONS:
        assert all(there.caption(_pictures(there, 2), asked))


def caption_in_training(directory: str) -> None:
    """The same with the network that learns, moved as the trainer moves it."""
    from training.loop.starting_point import load_trainable

    here, there = load_trainable(Path(directory)), load_trainable(Path(directory))
    moved: Any = there.network
    moved.to(NAME)
    _compare(here, there)


def _compare(here: Captioner, there: Captioner) -> None:
    pixels = _pictures(here, 3)
    options = list(_OPTIONS)
    if "attention" in here.honours:
        options.append(CaptionOptions(num_beams=2, attention=True, max_length=8))
    for asked in options:
        found, expected = there.caption(pixels, asked), here.caption(pixels, asked)
        for group, right in zip(found, expected, strict=True):
            assert [c.text for c in group] == [c.text for c in right], (asked, group, right)
            for one, other in zip(group, right, strict=True):
                assert abs(one.log_prob - other.log_prob) < 0.05, (asked, one, other)
                assert [w.word for w in one.words or ()] == [w.word for w in other.words or ()]


def match(directory: str) -> None:
    """Score texts."""
    here, there = load_matcher(Path(directory)), load_matcher(Path(directory), _DEVICE)
    texts = [["a dog", "a red ball on the grass"], [], ["a"]]
    pixels = _pictures(here, 3)
    for found, right in zip(there.score(pixels, texts), here.score(pixels, texts), strict=True):
        assert np.allclose(found, right, atol=1e-4), (found, right)


def command(module: str, arguments: list[str]) -> None:
    """Run a command of `training`, whose network, batches and validations live there."""
    status = import_module(f"training.{module}").main([*arguments, "--device", NAME])
    assert status == 0, status


def everything(folder: str) -> None:
    """What `make test-gpu` does, small."""
    from tests.gpu.everything import TINY, run_everything

    run_everything(Path(folder), _DEVICE, TINY)


def mixed() -> None:
    """What the device is there for: it refuses a tensor that has stayed behind."""
    import torch

    there = torch.ones(3, device=NAME)
    assert isinstance(there, Elsewhere)
    for wrong in (
        lambda: there + torch.ones(3),
        lambda: torch.nn.functional.conv2d(torch.ones(1, 1, 3, 3), torch.ones(1, 1, 1, 1).to(NAME)),
        lambda: there.index_select(0, torch.tensor([0])),
        lambda: there.numpy(),
    ):
        try:
            wrong()
        except (RuntimeError, TypeError):
            continue
        raise AssertionError("two devices met unseen")


_KINDS: dict[str, Callable[..., None]] = {
    "caption": caption,
    "caption in bf16": caption_in_bf16,
    "caption in training": caption_in_training,
    "command": command,
    "everything": everything,
    "match": match,
    "mixed": mixed,
}


def main() -> None:
    """Run the jobs."""
    # As `training.loop.hardware` has it of transformers for a GPU.
    os.environ["ACCELERATE_TORCH_DEVICE"] = f"{NAME}:0"
    register()
    found: dict[str, str] = {}
    for job in json.loads(sys.argv[1]):
        name, kind = job.pop("name"), job.pop("kind")
        try:
            _KINDS[kind](**job)
        except Exception:
            found[name] = traceback.format_exc()
        else:
            found[name] = ""
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
