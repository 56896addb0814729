"""An evaluation as a page to look at: scores, learning curve, best, worst and random pictures.

`report.html` needs nothing but the `pictures/` beside it: no script, no request to anybody.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from PIL import Image

from models.api.metadata import ModelMetadata
from training.data.coco import CaptionedImage, DataError
from training.data.pictures import read_picture
from training.export.charts import histogram, line_chart
from training.export.learning_curve import read_curves
from training.export.report_style import CSS
from training.metrics.score_rows import metric_rows, statistic_rows
from training.metrics.scores import Scores, words

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
        data: name of the split, e.g. `flickr8k/val`.
        images: the captioned pictures.
        captions: the model's caption of every picture, by image id.
        scores: over the whole split.
        beams: beam width of the captions.
        unreadable: pictures that could not be read and count nowhere.
        log: the run's `log.jsonl`, if the model is a run.
    """

    model: str
    metadata: ModelMetadata
    data: str
    images: Sequence[CaptionedImage]
    captions: dict[int, str]
    scores: Scores
    beams: int
    unreadable: int = 0
    log: Path | None = None


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
    galleries = [
        ("best", "Best", "Highest CIDEr.", ranked[:examples]),
        ("worst", "Worst", "Lowest CIDEr, the very lowest first.", ranked[: -examples - 1 : -1]),
        ("random", "Random", "Drawn by lot: what to expect.", drawn),
    ]
    sections = [_scores(content), _curves(content)]
    sections += [
        _gallery(key, title, note, images, content, folder)
        for key, title, note, images in galleries
    ]
    links = [("scores", "Scores"), ("curves", "Curves")]
    links += [(key, title) for key, title, _, _ in galleries]
    page = folder / PAGE_NAME
    page.write_text(_page(content, links, sections), encoding="utf-8")
    return page


def _page(content: ReportContent, links: Iterable[tuple[str, str]], sections: Iterable[str]) -> str:
    metadata = content.metadata
    facts = [
        metadata.method,
        f"{metadata.parameters / 1e6:.1f} M parameters" if metadata.parameters else "",
        f"{content.scores.num_images:,} pictures",
        f"{content.beams} beams" if content.beams > 1 else "greedy",
        f"tokens: {content.scores.tokenizer}",
        f"{content.unreadable} unreadable pictures left out" if content.unreadable else "",
    ]
    title = f"{content.model} on {content.data}"
    trained = "".join(f"<p>Trained on {escape(entry)}</p>" for entry in metadata.data)
    commit = f" at commit <code>{escape(metadata.git_sha[:12])}</code>" if metadata.git_sha else ""
    source = f"<p><code>{escape(metadata.source)}</code>{commit}</p>" if metadata.source else ""
    return "".join(
        [
            '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n',
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n',
            f"<title>{escape(title)}</title>\n<style>{CSS}</style>\n",
            '<header><div class="head"><p class="kicker">Captionbox evaluation</p>',
            f"<h1>{escape(title)}</h1>",
            _list("facts", facts),
            '</div></header>\n<nav aria-label="Sections"><ul>',
            *(f'<li><a href="#{key}">{escape(name)}</a></li>' for key, name in links),
            "</ul></nav>\n<main>\n",
            *sections,
            f"<footer>{trained}{source}</footer>\n</main>\n</html>\n",
        ]
    )


def _scores(content: ReportContent) -> str:
    scores = content.scores
    metrics = metric_rows(scores)
    by_key = {row.key: row for row in metrics}
    shown = "".join(
        f"<div{' class=main' if key == 'cider' else ''}><dt>{by_key[key].name}</dt>"
        f"<dd>{by_key[key].value:.3f}</dd></div>"
        for key in ("cider", "bleu_4", "rouge_l", "meteor", "spice")
        if key in by_key
    )
    lines = "".join(
        f'<tr><th scope="row">{row.name}</th><td class="number">{row.text}</td>'
        f'<td class="note">{escape(row.note)}</td></tr>'
        for row in [*metrics, *statistic_rows(scores)]
    )
    return (
        f'<section id="scores"><h2>Scores</h2><p class="note">Higher is better throughout; '
        f'pycocoevalcap’s scorers.</p><dl class="scores">{shown}</dl>'
        f'<div class="panel" style="margin-top:.75rem"><table>{lines}</table></div></section>\n'
    )


def _curves(content: ReportContent) -> str:
    figures = []
    found = read_curves(content.log, ("loss", "reward", "eval_cider")) if content.log else {}
    if "reward" in found:
        # The loss of self-critical training says nothing; its reward does.
        chart = line_chart("Reward over epochs", found["reward"], "epoch", "CIDEr-D of samples")
        figures.append(("Reward", "", chart))
    elif "loss" in found:
        chart = line_chart("Training loss over epochs", found["loss"], "epoch", "nats per token")
        figures.append(("Training loss", "", chart))
    if "eval_cider" in found:
        points = found["eval_cider"]
        epoch, best = max(points, key=lambda point: point[1])
        chart = line_chart("Validation CIDEr over epochs", points, "epoch", "CIDEr")
        figures.append(("Validation CIDEr", f"best {best:.3f}, epoch {epoch:g}", chart))
    values = list(content.scores.per_image_cider.values())
    nothing = sum(value < 0.005 for value in values) / len(values)
    chart = histogram("Pictures by CIDEr", values, "CIDEr of a picture")
    figures.append(("Pictures by CIDEr", f"{nothing:.0%} at 0", chart))
    drawn = "".join(
        f'<figure class="panel"><h3>{escape(title)}<span>{escape(aside)}</span></h3>'
        f"{chart}</figure>"
        for title, aside, chart in figures
    )
    return f'<section id="curves"><h2>Curves</h2><div class="charts">{drawn}</div></section>\n'


def _gallery(
    key: str,
    title: str,
    note: str,
    images: Sequence[CaptionedImage],
    content: ReportContent,
    folder: Path,
) -> str:
    cards = "".join(_card(image, content, folder) for image in images)
    return (
        f'<section id="{key}"><h2>{escape(title)}</h2><p class="note">{escape(note)} Words that no '
        'reference has are <span class="odd">marked</span>.</p>'
        f'<ul class="cards">{cards}</ul></section>\n'
    )


def _card(image: CaptionedImage, content: ReportContent, folder: Path) -> str:
    name = f"{image.image_id}.jpg"
    if _copy(image, folder / PICTURES_NAME / name):
        alt = escape(image.references[0])
        picture = f'<img src="{PICTURES_NAME}/{name}" alt="{alt}" loading="lazy">'
    else:
        picture = '<div class="missing">picture cannot be read</div>'
    cider = content.scores.per_image_cider[image.image_id]
    return (
        f'<li class="card"><div class="picture">{picture}'
        f'<span class="badge">CIDEr {cider:.2f}</span></div><div class="words">'
        f'<p class="caption">{_marked(content.captions[image.image_id], image.references)}</p>'
        + _list("", image.references[:_REFERENCES])
        + f'<p class="id">{escape(image.path.name)}</p></div></li>'
    )


def _marked(caption: str, references: Sequence[str]) -> str:
    """Return the caption with the words that no reference has marked."""
    known = {word for reference in references for word in words(reference).split()}
    return " ".join(
        escape(word)
        if not words(word) or words(word) in known
        else f'<span class="odd">{escape(word)}</span>'
        for word in caption.split()
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


def _list(kind: str, entries: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(entry)}</li>" for entry in entries if entry)
    return f'<ul class="{kind}">{items}</ul>' if kind else f"<ul>{items}</ul>"
