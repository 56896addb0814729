"""Score a captioner on a split of COCO-format data.

    python -m training.evaluate --model TAG_OR_DIR --data DIR --split val [--beams 3] [--out DIR]
    python -m training.evaluate --model DIR --data DIR --split val --record [--precision int8]
    python -m training.evaluate --model RUN --data DIR --split val --report FOLDER

`--model` is a model in the BentoML store (`compact`, `compact:VERSION`), a model directory or a
run's folder. Prints BLEU-1..4, ROUGE-L and CIDEr as pycocoevalcap's scorers compute them, over Penn
Treebank tokens as the COCO server and papers do; `--tokenizer words` takes plain words. `--out`
also writes `results.json` in the official COCO results format and `metrics.json`. `--record` writes
the scores and how they were measured into the model directory's own `captionbox.json` and model
card; from those of `--precision int8` beside those of fp32, measured alike, the server knows
whether the model stands that number format.
`--report` writes a page with the scores, the run's learning curve and pictures. METEOR and SPICE
need Java. The share of captions that are in no training caption is that of the run's own data, or
of `--train-captions`.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from models.api import metadata as metadata_module
from models.api.device import CPU, Device, Precision
from models.api.measured import Conditions, Measured
from models.api.metadata import BrokenModelError
from models.api.options import CaptionOptions
from models.registry import load_captioner
from models.runtimes.devices import find_device
from models.store import ModelNotFoundError
from training.data.coco import CaptionedImage, DataError, load_split
from training.data.image_cache import ImageCache
from training.data.mixture import DataSource
from training.data.pictures import MAX_UNREADABLE, PictureReader, without_unreadable
from training.export.model_directory import card, is_ours
from training.export.report import ReportContent, write_report
from training.loop.captioning import caption_images, texts
from training.loop.run_directory import DATA_NAME, LOG_NAME, RunError, find_in_run
from training.loop.run_settings import add_device, add_image_cache, add_layout, read_sources
from training.loop.starting_point import model_directory
from training.metrics.scores import (
    JAVA_METRICS,
    METRICS,
    Scores,
    metric_rows,
    recorded,
    statistic_rows,
)
from training.metrics.scoring import Tokenizer, score

logger = logging.getLogger(__name__)

TOKENIZER: Tokenizer = "ptb-python"
"""The one that papers' numbers are by; exact, and without Java."""


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
        conditions: how the scores were measured, the split among it.
        images: the captioned pictures.
        captions: the model's caption of every picture, by image id.
        scores: over the whole split.
        unreadable: pictures that could not be read and count nowhere.
    """

    conditions: Conditions
    images: tuple[CaptionedImage, ...]
    captions: dict[int, str]
    scores: Scores
    unreadable: int = 0


def evaluate(
    model: str,
    data: Path,
    split: str,
    beams: int | None = None,
    tokenizer: Tokenizer = TOKENIZER,
    batch_size: int = 32,
    with_java: Collection[str] = (),
    image_cache: Path | None = None,
    max_unreadable: float = MAX_UNREADABLE,
    precision: Precision = "fp32",
    train_captions: Sequence[Path] | None = None,
    layout: str | None = None,
    device: Device = CPU,
) -> Evaluation:
    """Caption every picture of a split and score the captions.

    Args:
        model: store tag, model directory or run folder.
        data: data set folder.
        split: `train`, `val` or `test`.
        beams: beam width; `None` is the model's default.
        tokenizer: how captions become words, see `training.metrics.scoring.score`.
        batch_size: pictures a batch.
        with_java: metrics to run in Java.
        image_cache: folder for decoded pictures; `None` decodes anew.
        max_unreadable: share of pictures that may be missing or damaged, 0..1.
        precision: what the model is to compute in.
        train_captions: data set folders with the captions that the model learnt from, for the share
            of captions that it made up itself; `None` takes those of the run, if `model` is one.
        layout: which to take where a data set folder holds several.
        device: where the model computes.

    Raises:
        BrokenModelError, DataError, ModelNotFoundError: see there.
        ValueError: the model's method cannot compute in `precision`.
    """
    captioner = load_captioner(model_directory(model), precision, device=device)
    # Before all the captioning: a wrong folder shows at once.
    learnt = training_captions(
        model,
        None
        if train_captions is None
        else [DataSource(folder, layout=layout) for folder in train_captions],
    )
    part = without_unreadable(load_split(data, split, layout), max_unreadable)
    spec = captioner.preprocess
    reader = PictureReader(spec, [ImageCache(image_cache, part, spec)] if image_cache else [])
    captions = texts(
        caption_images(
            captioner,
            part.images,
            CaptionOptions(num_beams=beams),
            batch_size,
            reader=reader,
            max_unreadable=max_unreadable,
        )
    )
    images = tuple(image for image in part.images if image.image_id in captions)
    references = {image.image_id: image.references for image in images}
    scores = score(
        captions,
        references,
        tokenizer=tokenizer,
        with_java=with_java,
        training_captions=learnt,
    )
    unreadable = len(part.all_images) - len(images)
    decode = captioner.defaults.model_copy(
        update={"num_beams": beams or captioner.defaults.num_beams}
    )
    how = Conditions.of(part.name, scores.num_images, decode, precision, scores.tokenizer)
    return Evaluation(how, images, captions, scores, unreadable)


def training_captions(model: str, sources: Sequence[DataSource] | None) -> list[str] | None:
    """Return the captions that a model learnt from; None where nobody knows them.

    Args:
        model: store tag, model directory or run folder.
        sources: data sets; `None` takes those of the run.

    Raises:
        DataError: one of `sources` has no training split, or a broken one.
    """
    if sources is not None:
        parts = [load_split(source.folder, "train", source.layout) for source in sources]
        return [text for part in parts for text in part.captions]
    data = find_in_run(model, DATA_NAME)
    if data is None:
        return None
    try:
        return training_captions(model, read_sources(data.parent))
    except (DataError, RunError) as error:
        logger.warning("the captions that the run learnt from cannot be read: %s", error)
        return None


def table(evaluation: Evaluation) -> str:
    """Return the scores as lines of text."""
    scores = evaluation.scores
    lines = [f"{evaluation.conditions.where}: {evaluation.conditions.how}"]
    rows = [*metric_rows(scores), *statistic_rows(scores)]
    lines += [f"  {row.name:<17} {row.text:>7}  {row.note}" for row in rows]
    if evaluation.unreadable:
        lines.append(f"  {evaluation.unreadable} pictures cannot be read and were left out")
    return "\n".join(lines)


def write_results(evaluation: Evaluation, folder: Path) -> None:
    """Write `results.json` (COCO results format) and `metrics.json` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    results = [
        {"image_id": image_id, "caption": caption}
        for image_id, caption in evaluation.captions.items()
    ]
    (folder / "results.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
    metrics = {
        "data": evaluation.conditions.data,
        "conditions": evaluation.conditions.model_dump(mode="json"),
        "unreadable": evaluation.unreadable,
        **evaluation.scores.summary(),
    }
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=1), encoding="utf-8")


def record(evaluation: Evaluation, directory: Path) -> None:
    """Write the scores and how they were measured into a model directory's metadata and card."""
    rounded = {
        key: round(value, METRICS[key].digits)
        for key, value in recorded(evaluation.scores.values()).items()
    }
    updated = metadata_module.read(directory).with_scores(
        Measured(conditions=evaluation.conditions, scores=rounded)
    )
    metadata_module.write(directory, updated)
    path = directory / metadata_module.CARD_NAME
    if not path.is_file() or is_ours(path.read_text(encoding="utf-8", errors="replace")):
        path.write_text(card(updated), encoding="utf-8")


def report(evaluation: Evaluation, model: str, folder: Path) -> Path:
    """Write the evaluation as a page with pictures; return its path."""
    content = ReportContent(
        model,
        metadata_module.read(model_directory(model)),
        evaluation.conditions,
        evaluation.images,
        evaluation.captions,
        evaluation.scores,
        evaluation.unreadable,
        find_in_run(model, LOG_NAME),
    )
    return write_report(content, folder)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m training.evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", required=True, help="store tag, model directory or run folder")
    parser.add_argument("--data", type=Path, required=True, help="data set folder")
    parser.add_argument("--split", default="val", help="train, val or test (default: val)")
    add_layout(parser)
    parser.add_argument("--beams", type=int, help="beam width (default: the model's)")
    parser.add_argument(
        "--tokenizer",
        default=TOKENIZER,
        choices=get_args(Tokenizer),
        help="ptb: the COCO server's, as papers have it; words: lower-cased, without punctuation; "
        "auto: ptb-java where Java is (default: %(default)s)",
    )
    for metric in JAVA_METRICS:
        parser.add_argument(
            f"--{metric}",
            dest="with_java",
            action="append_const",
            const=metric,
            help=f"score {METRICS[metric].name} too, where Java is",
        )
    parser.add_argument(
        "--precision",
        default="fp32",
        choices=get_args(Precision),
        help="what the model computes in (default: fp32, the reference)",
    )
    add_device(parser)
    add_image_cache(parser)
    parser.add_argument(
        "--max-unreadable",
        type=float,
        default=MAX_UNREADABLE,
        metavar="SHARE",
        help="share of pictures that may be missing or damaged (default: %(default)s)",
    )
    parser.add_argument(
        "--train-captions",
        nargs="+",
        type=Path,
        metavar="DIR",
        help="data sets whose training captions a caption may repeat (default: the run's own)",
    )
    parser.add_argument("--report", type=Path, metavar="FOLDER", help="write a page with pictures")
    parser.add_argument("--out", type=Path, help="write results.json and metrics.json here")
    parser.add_argument(
        "--record", action="store_true", help="write the scores into the model directory's card"
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        found = evaluate(
            options.model,
            options.data,
            options.split,
            options.beams,
            options.tokenizer,
            with_java=options.with_java or (),
            image_cache=options.image_cache,
            max_unreadable=options.max_unreadable,
            precision=options.precision,
            train_captions=options.train_captions,
            layout=options.layout,
            device=find_device(options.device),
        )
        if options.out:
            write_results(found, options.out)
        if options.record:
            record(found, model_directory(options.model))
        if options.report:
            logger.info("report: %s", report(found, options.model, options.report))
    except (BrokenModelError, DataError, ModelNotFoundError, ValueError, OSError) as error:
        logger.error("%s", error)
        return 2
    sys.stdout.write(table(found) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
