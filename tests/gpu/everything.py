"""Everything that runs on a device, once: training, validation, SCST, resuming, scores, captions.

    python -m tests.gpu.everything [--device cuda] [--small]

Needs no package beyond what training itself needs, so that it runs on a bare machine with a GPU.
The networks of `compact` and the tutorials have their true size unless it is to be `--small`; the
others are small and of the true architecture. All weights are random.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.api import metadata
from models.api.device import Device
from models.api.options import CaptionOptions
from models.api.preprocessing import PreprocessSpec
from models.registry import load_captioner, load_matcher
from models.runtimes.devices import find_device
from tests.checkpoints import write_vit_gpt2
from tests.drawings import NAMES, caption_of, draw
from tests.matchers import make_tiny_matcher
from training.evaluate import main as evaluate
from training.loop.run_directory import complete_checkpoints
from training.loop.speed import PICTURES, WAIT
from training.scst import main as scst
from training.train import main as train

SMALL = (
    *("model.backbone=tiny", "model.image_height=64", "model.image_width=64", "model.d_model=32"),
    *("model.head_dim=16", "model.encoder_heads=2", "model.decoder_heads=2"),
    *("model.decoder_layers=1", "model.ffn_dim=32"),
)
"""Overrides that make the networks small."""


@dataclass(frozen=True)
class Size:
    """How much is done.

    Attributes:
        pictures: that are trained on; validation has few.
        side: their size in pixels.
        batch: pictures a step.
        epochs: of the longest training.
        overrides: of the recipes.
        families: `model_type` of the transformers captioners to try; None takes all.
        options: further ones of the longest training.
    """

    pictures: int
    side: int
    batch: int
    epochs: int
    overrides: tuple[str, ...] = ()
    families: tuple[str, ...] | None = None
    options: tuple[str, ...] = ()


GPU = Size(pictures=6144, side=256, batch=128, epochs=3)
TINY = Size(32, 64, 8, 2, SMALL, ("blip",), ("--workers", "0"))


@dataclass
class Told:
    """What a run of everything has to tell.

    Attributes:
        seconds: by step.
        speed: pictures a second of training, by method.
        waited: share of that time in which it waited for data, by method.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    speed: dict[str, float] = field(default_factory=dict)
    waited: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a step."""
        began = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - began

    def lines(self) -> list[str]:
        """Return it in words."""
        out = [f"{name}: {seconds:.1f} s" for name, seconds in self.seconds.items()]
        for name, speed in self.speed.items():
            out.append(f"{name}: {speed:.0f} pictures/s, {self.waited[name]:.0%} waiting for data")
        return out


def write_pictures(folder: Path, size: Size) -> Path:
    """Write a data set of drawings with their captions; return its folder."""
    (folder / "images").mkdir(parents=True)
    (folder / "annotations").mkdir()
    for split, count in (("train", size.pictures), ("val", max(4, size.pictures // 24))):
        images, annotations = [], []
        for number in range(count):
            name, file = NAMES[number % len(NAMES)], f"{split}-{number}.jpg"
            # Many files, few drawings: it is reading them that takes the time in training.
            draw(name, size.side).save(folder / "images" / file, quality=80)
            images.append({"id": number, "file_name": file})
            for more, text in enumerate((caption_of(name), f"there is a {name}")):
                annotation = {"id": 2 * number + more, "image_id": number, "caption": text}
                annotations.append(annotation)
        path = folder / "annotations" / f"captions_{split}.json"
        path.write_text(json.dumps({"images": images, "annotations": annotations}))
    return folder


def run_everything(folder: Path, device: Device, size: Size) -> Told:
    """Do everything on a device.

    Args:
        folder: of data and runs.
        device: the one.
        size: how much.
    """
    told = Told()
    with told.step("data"):
        data = ["--data", str(write_pictures(folder / "data", size))]
    common = ["--device", device.name]
    few = [*common, "--max-steps", "3"]

    def sets(*overrides: str) -> list[str]:
        both = (*size.overrides, "min_word_count=1", f"batch_images={size.batch}", *overrides)
        return [part for one in both for part in ("--set", one)]

    compact = folder / "compact"
    with told.step("train compact"):
        more = ("frozen_epochs=1", f"epochs={size.epochs}", "average=0.9")
        arguments = ["--config", "compact", *data, "--out", str(compact), *common, *size.options]
        _done(train([*arguments, *sets(*more)]))
    _speed(told, "compact", compact)
    with told.step("resume compact"):
        steps = complete_checkpoints(compact)[-1].name.rpartition("-")[2]
        last = str(int(steps) + 2)
        _done(train(["--out", str(compact), "--resume", *common, "--max-steps", last]))
    for name in ("tf-tutorial", "keras-example"):
        with told.step(f"train {name}"):
            out = ["--out", str(folder / name)]
            _done(train(["--config", name, *data, *out, *few, *sets()]))
    with told.step("train vit-gpt2"):
        start = _vit_gpt2(folder)
        arguments = ["--config", "vit-gpt2", "--init", str(start), *data, *few]
        batch = ["--set", f"batch_images={size.batch}"]
        _done(train([*arguments, "--out", str(folder / "vit-gpt2"), *batch]))
    for rollout in ("beam", "sample"):
        with told.step(f"scst, {rollout}"):
            how = [f"rollout={rollout}", f"batch_images={min(64, size.batch)}"]
            changes = [part for one in how for part in ("--set", one)]
            out = ["--out", str(folder / f"scst-{rollout}")]
            _done(scst(["--model", str(compact), *data, *out, *few, *changes]))
    for precision in ("fp32", "bf16") if not device.is_cpu else ("fp32",):
        with told.step(f"evaluate compact in {precision}"):
            arguments = ["--model", str(compact), *data, *common]
            _done(evaluate([*arguments, "--precision", precision]))
    for name in ("compact", "tf-tutorial", "keras-example", "vit-gpt2", "scst-beam"):
        with told.step(f"caption with {name}"):
            caption(folder / name / "model", device)
    _with_transformers(told, folder, device, size)
    with told.step("match"):
        make_tiny_matcher(folder / "bridgetower")
        here, there = (load_matcher(folder / "bridgetower", at) for at in (Device(), device))
        pixels, texts = _pictures(here.preprocess), [["a dog", "a red bar"], ["a"], []]
        for found, right in zip(there.score(pixels, texts), here.score(pixels, texts), strict=True):
            assert np.allclose(found, right, atol=1e-3), (found, right)
    return told


def caption(directory: Path, device: Device) -> None:
    """Caption with an exported model, in every way that it can."""
    captioner = load_captioner(directory, device=device)
    pixels = _pictures(captioner.preprocess)
    maps = {"attention": True} if "attention" in captioner.honours else {}
    for options in (
        CaptionOptions(num_beams=1, max_length=8, **maps),
        CaptionOptions(num_beams=3, num_captions=2, max_length=8),
        CaptionOptions(temperature=1.1, top_p=0.9, seed=1, max_length=8),
    ):
        assert all(captioner.caption(pixels, options)), options
    if "bf16" in captioner.precisions and not device.is_cpu:
        narrow = load_captioner(directory, "bf16", device=device)
        assert all(narrow.caption(pixels, CaptionOptions(max_length=8)))


def _with_transformers(told: Told, folder: Path, device: Device, size: Size) -> None:
    from tests.models.captioners.vlm.families import MAKERS, import_tiny

    for name in size.families or MAKERS:
        with told.step(f"caption with {name}"):
            source, target = folder / f"hub-{name}", folder / name
            source.mkdir()
            target.mkdir()
            MAKERS[name](source)
            import_tiny(source, target)
            caption(target, device)


def _vit_gpt2(folder: Path) -> Path:
    from models.captioners.vit_gpt2.convert import convert

    target = folder / "vit-gpt2-start"
    target.mkdir()
    metadata.write(target, convert(write_vit_gpt2(folder / "hub-vit-gpt2"), target))
    return target


def _pictures(spec: PreprocessSpec) -> NDArray[np.uint8]:
    """Return three pictures, `uint8 [3, 3, H, W]`."""
    drawn = [np.asarray(draw(name).resize((spec.width, spec.height))) for name in NAMES[:3]]
    return np.ascontiguousarray(np.stack(drawn).transpose(0, 3, 1, 2))


def _speed(told: Told, name: str, run: Path) -> None:
    """Take the speed of a run's fastest entry: the first ones warm up."""
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    entries = [entry for entry in log if PICTURES in entry]
    if entries:
        best = max(entries, key=lambda entry: entry[PICTURES])
        told.speed[name], told.waited[name] = best[PICTURES], best[WAIT]


def _done(status: int) -> None:
    if status:
        raise RuntimeError("a command of training failed; what it said is above")


def main() -> int:
    """Run everything and print how long it took and how fast it went."""
    parser = argparse.ArgumentParser(prog="python -m tests.gpu.everything", description=__doc__)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--small", action="store_true", help="as the ordinary tests do it")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with tempfile.TemporaryDirectory() as folder:
        size = TINY if options.small else GPU
        told = run_everything(Path(folder), find_device(options.device), size)
    print("\n".join(told.lines()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
