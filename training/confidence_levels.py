"""From which confidence on captions are good: what the web page's words for it are chosen by.

    python -m training.confidence_levels --model compact --data DIR --split val

Captions a split, fits CIDEr as a rising function of confidence (isotonic regression, Ayer et al.
1955), and prints the confidences from which on that fit is half of the split's CIDEr, all of it,
and twice it, with what the captions between them are worth.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean

from models.api.measured import Conditions
from models.api.metadata import BrokenModelError
from models.api.options import CaptionOptions
from models.registry import load_captioner
from models.store import ModelNotFoundError
from training.data.coco import DataError, load_split
from training.data.pictures import without_unreadable
from training.loop.captioning import caption_images, texts
from training.loop.run_settings import add_layout
from training.loop.starting_point import model_directory
from training.metrics.scoring import score

logger = logging.getLogger(__name__)

SHARES = (0.5, 1.0, 2.0)
"""A level begins where captions are worth this many times what they are on average."""
POOR = 0.2
"""CIDEr below which a caption has hardly a word in common with what people wrote."""


@dataclass(frozen=True)
class Judged:
    """A caption: the model's `confidence`, 0..1, and its `cider`, 0..10."""

    confidence: float
    cider: float


def judge(model: str, data: Path, split: str, layout: str | None = None) -> list[Judged]:
    """Caption every picture of a split with the model's own settings, and score each caption.

    Raises:
        BrokenModelError, DataError, ModelNotFoundError: see there.
    """
    captioner = load_captioner(model_directory(model))
    images = without_unreadable(load_split(data, split, layout)).images
    captions = caption_images(captioner, images, CaptionOptions())
    references = {i.image_id: i.references for i in images if i.image_id in captions}
    scores = score(texts(captions), references)
    how = Conditions.of(
        f"{data.resolve().name}/{split}",
        len(captions),
        captioner.defaults,
        "fp32",
        scores.tokenizer,
    )
    logger.info("%s: %s", how.where, how.how)
    cider = scores.per_image_cider
    return [Judged(caption.confidence, cider[name]) for name, caption in captions.items()]


def thresholds(judged: Sequence[Judged]) -> list[float | None]:
    """Return the confidence at which each level of `SHARES` begins; None for one never reached."""
    average = fmean(one.cider for one in judged)
    steps = _rising(judged)
    return [
        min((start for start, cider in steps if cider >= share * average), default=None)
        for share in SHARES
    ]


def _rising(judged: Sequence[Judged]) -> list[tuple[float, float]]:
    """Return the fit as steps, `(confidence from which on, CIDEr)`: pool adjacent violators."""
    steps: list[tuple[float, float, int]] = []  # beginning, sum of CIDEr, captions
    for one in sorted(judged, key=lambda one: one.confidence):
        start, total, count = one.confidence, one.cider, 1
        while steps and steps[-1][1] * count >= total * steps[-1][2]:
            start, before, more = steps.pop()
            total, count = total + before, count + more
        steps.append((start, total, count))
    return [(start, total / count) for start, total, count in steps]


def table(judged: Sequence[Judged]) -> str:
    """Return the levels and what their captions are worth, as lines of text."""
    bounds = [0.0, *(found for found in thresholds(judged) if found is not None), 1.01]
    lines = [f"{len(judged)} captions, CIDEr {fmean(one.cider for one in judged):.3f}"]
    for low, high in pairwise(bounds):
        level = [one.cider for one in judged if low <= one.confidence < high]
        if not level:
            continue
        poor = sum(cider < POOR for cider in level) / len(level)
        lines.append(
            f"  from {low:.2f}: {len(level) / len(judged):4.0%} of them, CIDEr {fmean(level):.2f}, "
            f"{poor:4.0%} below {POOR}"
        )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m training.confidence_levels",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", required=True, help="store tag, model directory or run folder")
    parser.add_argument("--data", type=Path, required=True, help="data set folder")
    parser.add_argument("--split", default="val", help="train, val or test (default: val)")
    add_layout(parser)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        judged = judge(options.model, options.data, options.split, options.layout)
    except (BrokenModelError, DataError, ModelNotFoundError, OSError) as error:
        logger.error("%s", error)
        return 2
    sys.stdout.write(table(judged) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
