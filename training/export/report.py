"""An evaluation as a page to look at: scores, learning curve, best, worst and random pictures.

`report.html` needs nothing but the `pictures/` beside it: no script, no request to anybody.
"""

from __future__ import annotations

import json
import logging
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup
from PIL import Image

from models.api.measured import Conditions
from models.api.metadata import ModelMetadata
from training.data.coco import CaptionedImage, DataError
from training.data.pictures import read_picture
from training.export.charts import Point, histogram, line_chart
from training.export.rendering import render
from training.metrics.scores import (
    HEADLINES,
    JUDGE,
    LOGGED,
    METRICS,
    Scores,
    metric_rows,
    statistic_rows,
)
from training.metrics.scoring import words

logger = logging.getLogger(__name__)

PAGE_NAME = "report.html"
PICTURES_NAME = "pictures"
_LONGEST_SIDE = 560
_REFERENCES = 5


@dataclass(frozen=True)
class ReportContent:
    """What a report tells.

    Attributes:
        model: how the user named the model.
        metadata: what the model says of itself.
        conditions: how the scores were measured.
        images: the captioned pictures.
        captions: the model's caption of every picture, by image id.
        scores: over the whole split.
        unreadable: pictures that could not be read and count nowhere.
        log: the run's `log.jsonl`, if the model is a run.
    """

    model: str
    metadata: ModelMetadata
    conditions: Conditions
    images: Sequence[CaptionedImage]
    captions: dict[int, str]
    scores: Scores
    unreadable: int = 0
    log: Path | None = None


@dataclass(frozen=True)
class Figure:
    """A chart with its title and what stands beside that."""

    title: str
    aside: str
    chart: Markup


@dataclass(frozen=True)
class Card:
    """A picture in a gallery.

    Attributes:
        picture: its copy's path from the page; empty where the picture cannot be read.
        name: the file's name.
        cider: of the caption.
        caption: its words, each with whether no reference has it.
        references: what people wrote.
    """

    picture: str
    name: str
    cider: float
    caption: Sequence[tuple[str, bool]]
    references: Sequence[str]


@dataclass(frozen=True)
class Gallery:
    """Pictures under a heading; `key` is the section's anchor."""

    key: str
    title: str
    note: str
    cards: Sequence[Card]


def write_report(content: ReportContent, folder: Path, examples: int = 12, seed: int = 0) -> Path:
    """Write `report.html` and small copies of the pictures it shows; return the page's path.

    Args:
        content: what to tell.
        folder: made if need be; an earlier report there is replaced.
        examples: pictures in each of the three galleries, at most.
        seed: of the random gallery.

    Raises:
        OSError: the folder cannot be written.
    """
    (folder / PICTURES_NAME).mkdir(parents=True, exist_ok=True)
    ciders = content.scores.per_image_cider
    ranked = sorted(content.images, key=lambda i: (-ciders[i.image_id], i.image_id))
    drawn = random.Random(seed).sample(ranked, min(examples, len(ranked)))
    worst = ranked[: -examples - 1 : -1]

    def cards(images: Sequence[CaptionedImage]) -> list[Card]:
        return [_card(image, content, folder) for image in images]

    metrics = metric_rows(content.scores)
    by_key = {row.key: row for row in metrics}
    page = render(
        "report.html.j2",
        content=content,
        metadata=content.metadata,
        facts=_facts(content),
        headlines=[by_key[key] for key in HEADLINES if key in by_key],
        judge=JUDGE,
        rows=[*metrics, *statistic_rows(content.scores)],
        figures=_figures(content),
        galleries=[
            Gallery("best", "Best", "Highest CIDEr.", cards(ranked[:examples])),
            Gallery("worst", "Worst", "Lowest CIDEr, the very lowest first.", cards(worst)),
            Gallery("random", "Random", "Drawn by lot: what to expect.", cards(drawn)),
        ],
    )
    path = folder / PAGE_NAME
    path.write_text(page, encoding="utf-8")
    return path


def read_curves(log: Path, names: Sequence[str]) -> dict[str, list[Point]]:
    """Return how a run learnt: (epoch, value) points, ascending, of those `names` its log holds.

    A resumed run has written some steps twice; the later line counts. Lines that a kill cut off and
    values that are no finite numbers are left out.
    """
    found: dict[str, dict[int, Point]] = {name: {} for name in names}
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            entry = json.loads(line)
            step, epoch = int(entry["step"]), float(entry["epoch"] or 0.0)
        except (ValueError, KeyError, TypeError):
            continue
        for name in names:
            value = entry.get(name)
            if isinstance(value, (int, float)) and math.isfinite(value) and math.isfinite(epoch):
                found[name][step] = (epoch, float(value))
    return {
        name: [point for _, point in sorted(points.items())]
        for name, points in found.items()
        if points
    }


def _facts(content: ReportContent) -> list[str]:
    metadata = content.metadata
    facts = [
        metadata.method,
        f"{metadata.parameters / 1e6:.1f} M parameters" if metadata.parameters else "",
        f"{content.scores.num_images:,} pictures",
        content.conditions.how,
        f"{content.unreadable} unreadable pictures left out" if content.unreadable else "",
    ]
    return [fact for fact in facts if fact]


def _figures(content: ReportContent) -> list[Figure]:
    figures = []
    judged, name = LOGGED + JUDGE, METRICS[JUDGE].name
    found = read_curves(content.log, ("loss", "reward", judged)) if content.log else {}
    if "reward" in found:
        # The loss of self-critical training says nothing; its reward does.
        chart = line_chart("Reward over epochs", found["reward"], "epoch", "CIDEr-D of samples")
        figures.append(Figure("Reward", "", chart))
    elif "loss" in found:
        chart = line_chart("Training loss over epochs", found["loss"], "epoch", "nats per token")
        figures.append(Figure("Training loss", "", chart))
    if judged in found:
        points = found[judged]
        epoch, best = max(points, key=lambda point: point[1])
        chart = line_chart(f"Validation {name} over epochs", points, "epoch", name)
        aside = f"best {best:.3f}, epoch {epoch:g}"
        figures.append(Figure(f"Validation {name}", aside, chart))
    values = list(content.scores.per_image_cider.values())
    nothing = sum(value < 0.005 for value in values) / len(values)
    chart = histogram("Pictures by CIDEr", values, "CIDEr of a picture")
    return [*figures, Figure("Pictures by CIDEr", f"{nothing:.0%} at 0", chart)]


def _card(image: CaptionedImage, content: ReportContent, folder: Path) -> Card:
    name = f"{PICTURES_NAME}/{image.image_id}.jpg"
    known = {word for reference in image.references for word in words(reference).split()}
    caption = content.captions[image.image_id].split()
    return Card(
        name if _copy(image, folder / name) else "",
        image.path.name,
        content.scores.per_image_cider[image.image_id],
        [(word, bool(words(word)) and words(word) not in known) for word in caption],
        image.references[:_REFERENCES],
    )


def _copy(image: CaptionedImage, target: Path) -> bool:
    """Write a small copy of a picture; return False if it cannot be read (any more)."""
    try:
        picture = read_picture(image)
    except DataError as error:
        logger.warning("%s", error)
        return False
    picture.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE), Image.Resampling.LANCZOS)
    picture.save(target, "JPEG", quality=82, optimize=True)
    return True
