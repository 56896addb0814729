"""Every score of captions, declared once: evaluation, report, training log and model card read it.

To add one, declare it as a field of `Scores` and compute it in `training.metrics.scoring`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Annotated, Literal, get_type_hints

from models.api.measured import Tokenisation


@dataclass(frozen=True)
class Metric:
    """What a score is called, what it means and how it is written.

    Attributes:
        name: for people.
        meaning: a few words for people; may name fields of `Scores` in braces.
        better: which values are better; None where it only describes the captions.
        against_references: whether it compares captions with what people wrote.
        digits: after the point.
        percent: whether it is a share, written as one.
        headline: whether the training log and the head of a report tell it.
        in_java: whether it needs Java, and so is computed only where it is asked for.
    """

    name: str
    meaning: str
    better: Literal["higher", "lower"] | None
    against_references: bool
    digits: int = 4
    percent: bool = False
    headline: bool = False
    in_java: bool = False

    def text(self, value: float) -> str:
        """Return a value as it is written for people."""
        return f"{value:,.{self.digits}{'%' if self.percent else 'f'}}"

    def improves(self, value: float, on: float | None) -> bool:
        """Return whether `value` is better than `on`; anything is better than None."""
        return on is None or (value < on if self.better == "lower" else value > on)


_agreement = partial(Metric, better="higher", against_references=True)
_description = partial(Metric, better=None, against_references=False)


@dataclass(frozen=True)
class Scores:
    """Corpus scores of one set of captions, and descriptive statistics of the captions.

    BLEU (Papineni et al. 2002, closest reference length), ROUGE-L (Lin 2004, beta 1.2), METEOR and
    SPICE lie in 0..1; CIDEr (Vedantam et al. 2015, as the COCO server computes it, idf from the
    references scored against) in 0..10. CIDEr depends on the number of images: with one image it
    is always 0, and scores over sets of different size are not comparable.

    A metric in Java is None unless asked for and runnable; `unseen_share` is None without training
    captions.

    Attributes:
        tokenizer: the one in fact used.
        num_images: pictures scored.
        distinct_captions: different captions after tokenisation.
        per_image_cider: by image id.
    """

    bleu_1: Annotated[float, _agreement("BLEU-1", "single words that people also used")]
    bleu_2: Annotated[float, _agreement("BLEU-2", "… and pairs")]
    bleu_3: Annotated[float, _agreement("BLEU-3", "… and triples")]
    bleu_4: Annotated[float, _agreement("BLEU-4", "… and runs of four", headline=True)]
    rouge_l: Annotated[
        float, _agreement("ROUGE-L", "longest common run of words, gaps allowed", headline=True)
    ]
    cider: Annotated[
        float,
        _agreement(
            "CIDEr", "agreement with people, rare words counting more; 0 to 10", headline=True
        ),
    ]
    meteor: Annotated[
        float | None,
        _agreement(
            "METEOR",
            "words, stems and synonyms in common, and their order",
            headline=True,
            in_java=True,
        ),
    ]
    spice: Annotated[
        float | None,
        _agreement(
            "SPICE", "objects, attributes and relations in common", headline=True, in_java=True
        ),
    ]
    vocabulary_used: Annotated[
        int, _description("Words used", "different words over all captions", digits=0)
    ]
    mean_length: Annotated[float, _description("Length", "words a caption, on average", digits=1)]
    distinct_share: Annotated[
        float,
        _description(
            "Distinct captions",
            "{distinct_captions:,} of {num_images:,}",
            digits=1,
            percent=True,
        ),
    ]
    unseen_share: Annotated[
        float | None,
        _description("New captions", "not among the training ones", digits=1, percent=True),
    ]
    bad_endings: Annotated[
        float,
        Metric(
            "Bad endings",
            "stop in mid-phrase; lower is better",
            better="lower",
            against_references=False,
            digits=1,
            percent=True,
            headline=True,
        ),
    ]
    tokenizer: Tokenisation
    num_images: int
    distinct_captions: int
    per_image_cider: dict[int, float] = field(repr=False)

    def summary(self) -> dict[str, float | int | str | None]:
        """Everything but the per-image scores, ready for JSON."""
        values = asdict(self)
        del values["per_image_cider"]
        return values

    def values(self) -> dict[str, float]:
        """Return the metrics that were computed, by key."""
        found = {key: getattr(self, key) for key in METRICS}
        return {key: value for key, value in found.items() if value is not None}


def recorded(values: Mapping[str, float]) -> dict[str, float]:
    """Return those of some values that a model's record holds: scores against references."""
    return {
        key: value
        for key, value in values.items()
        if key in METRICS and METRICS[key].against_references
    }


def declared(kind: type[Scores]) -> dict[str, Metric]:
    """Return the metrics that are declared as fields of `kind`, by the field's name."""
    hints = get_type_hints(kind, include_extras=True)
    found = {key: getattr(hint, "__metadata__", ()) for key, hint in hints.items()}
    return {key: metadata[0] for key, metadata in found.items() if metadata}


METRICS: Mapping[str, Metric] = declared(Scores)
"""All metrics by key, which is their name in `Scores`, `metrics.json`, `log.jsonl` and
`captionbox.json`, in the order of tables."""

JUDGE = "cider"
"""The metric that says which of two models is the better one."""

LOGGED = "eval_"
"""Stands before a metric's key in a run's `log.jsonl`, as transformers' `Trainer` wants it."""

HEADLINES: tuple[str, ...] = (
    JUDGE,
    *(key for key, metric in METRICS.items() if metric.headline and key != JUDGE),
)
"""What the training log and the head of a report tell, the most important first."""

JAVA_METRICS: tuple[str, ...] = tuple(key for key, metric in METRICS.items() if metric.in_java)


@dataclass(frozen=True)
class ScoreRow:
    """One line of the table that the terminal and the report show.

    Attributes:
        key: attribute of `Scores`.
        name: for people.
        text: the value as it is written.
        note: what it means.
        value: of a score of the field; None for a statistic of the captions.
    """

    key: str
    name: str
    text: str
    note: str
    value: float | None = None


def metric_rows(scores: Scores) -> list[ScoreRow]:
    """Return the scores of the field that were computed."""
    return [
        ScoreRow(key, METRICS[key].name, METRICS[key].text(value), _note(key, scores), value)
        for key, value in scores.values().items()
        if METRICS[key].against_references
    ]


def statistic_rows(scores: Scores) -> list[ScoreRow]:
    """Return what is counted in the captions themselves; a fault only where there is one."""
    return [
        ScoreRow(key, METRICS[key].name, METRICS[key].text(value), _note(key, scores))
        for key, value in scores.values().items()
        if not METRICS[key].against_references and (value or METRICS[key].better != "lower")
    ]


def headlines(entry: Mapping[str, float]) -> str:
    """Return a log entry's headlines in one line, e.g. "CIDEr 0.6081, BLEU-4 0.2364"."""
    return ", ".join(
        f"{METRICS[key].name} {METRICS[key].text(entry[LOGGED + key])}"
        for key in HEADLINES
        if LOGGED + key in entry
    )


def _note(key: str, scores: Scores) -> str:
    return METRICS[key].meaning.format_map(vars(scores))
