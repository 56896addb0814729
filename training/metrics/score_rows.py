"""The table of scores: each one's name, how it is written and what it means, for people.

The terminal, the report and the model card show these rows and no others.
"""

from __future__ import annotations

from dataclasses import dataclass

from training.metrics.scores import Scores


@dataclass(frozen=True)
class ScoreRow:
    """One line of the table.

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


_METRICS = (
    ("bleu_1", "BLEU-1", "single words that people also used"),
    ("bleu_2", "BLEU-2", "… and pairs"),
    ("bleu_3", "BLEU-3", "… and triples"),
    ("bleu_4", "BLEU-4", "… and runs of four"),
    ("rouge_l", "ROUGE-L", "longest common run of words, gaps allowed"),
    ("cider", "CIDEr", "agreement with people, rare words counting more; 0 to 10"),
    ("meteor", "METEOR", "words, stems and synonyms in common, and their order"),
    ("spice", "SPICE", "objects, attributes and relations in common"),
)


def metric_rows(scores: Scores) -> list[ScoreRow]:
    """Return the scores of the field that were computed."""
    found = []
    for key, name, note in _METRICS:
        value = getattr(scores, key)
        if value is not None:
            found.append(ScoreRow(key, name, f"{value:.4f}", note, value))
    return found


def statistic_rows(scores: Scores) -> list[ScoreRow]:
    """Return what is counted in the captions themselves."""
    rows = [
        ScoreRow(
            "vocabulary_used",
            "Words used",
            f"{scores.vocabulary_used:,}",
            "different words over all captions",
        ),
        ScoreRow(
            "mean_length", "Length", f"{scores.mean_length:.1f}", "words a caption, on average"
        ),
        ScoreRow(
            "distinct_share",
            "Distinct captions",
            f"{scores.distinct_share:.1%}",
            f"{scores.distinct_captions:,} of {scores.num_images:,}",
        ),
    ]
    if scores.unseen_share is not None:
        rows.append(
            ScoreRow(
                "unseen_share",
                "New captions",
                f"{scores.unseen_share:.1%}",
                "not among the training ones",
            )
        )
    return rows
