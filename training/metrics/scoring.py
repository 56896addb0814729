"""Caption scores (BLEU, ROUGE-L, CIDEr; METEOR and SPICE in Java) and statistics of the text."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import shutil
import statistics
import subprocess
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

from models.api.measured import Tokenisation
from training.metrics.scores import JAVA_METRICS, METRICS, Scores

_log = logging.getLogger(__name__)

Tokenizer = Literal["words", "ptb-python", "ptb-java", "auto"]

# An apostrophe or hyphen inside a word goes too ("t-shirt" -> "tshirt"): the usual Flickr8k habit,
# and the way in which the project's bars were measured. \w keeps letters and digits of any script.
_PUNCTUATION = re.compile(r"[^\w\s]|_")

FUNCTION_WORDS = frozenset(
    "a an and are as at behind beside by for from his her in into is its near next of on onto or "
    "over that the their through to under while with".split()
)
"""English words that end no caption."""


def words(caption: str) -> str:
    """Lower-case `caption`, delete punctuation characters, join the words by single spaces."""
    return " ".join(_PUNCTUATION.sub("", caption.lower()).split())


def share_of_bad_endings(captions: Iterable[str]) -> float:
    """Return the share (0..1) of captions whose last word is a function word; 0 of no captions.

    Captions that stop in mid-phrase are the known fault of self-critical training.
    """
    ends = [caption.lower().rstrip(" .").rpartition(" ")[2] for caption in captions]
    return sum(end in FUNCTION_WORDS for end in ends) / max(len(ends), 1)


def score(
    hypotheses: Mapping[int, str],
    references: Mapping[int, Sequence[str]],
    *,
    tokenizer: Tokenizer = "words",
    with_java: Collection[str] = (),
    training_captions: Iterable[str] | None = None,
) -> Scores:
    """Score one caption per image against that image's references.

    `tokenizer`: "words" (see `words`), "ptb-python" or "ptb-java" (the official COCO tokenisation),
    "auto" (ptb-java where Java is found, else ptb-python). `with_java` names the metrics to run in
    Java; one that cannot run is None in the result and the reason is logged. `training_captions`
    are raw captions for `unseen_share`.

    Raises ValueError for no images, for an image id on one side only, for an image without
    references (or with references that hold no word), and for an unknown option; FileNotFoundError
    for "ptb-java" without Java.
    """
    _check(hypotheses, references, tokenizer, with_java)
    # Three calls, as the official evaluation does: what stands next to a caption can matter to the
    # Penn Treebank tokeniser, so hypotheses must not be mixed with references.
    reference_tokens, used = _tokenise({i: list(references[i]) for i in hypotheses}, tokenizer)
    hypothesis_tokens, _ = _tokenise({i: [caption] for i, caption in hypotheses.items()}, tokenizer)
    seen = None
    if training_captions is not None:
        seen = set(_tokenise({0: list(training_captions)}, tokenizer)[0][0])
    for image_id, lines in reference_tokens.items():
        if not any(lines):
            raise ValueError(f"image {image_id}: its references hold no word")

    # Imported here: training code that only wants the types should not wait for it.
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

    bleu, _ = Bleu(4).compute_score(reference_tokens, hypothesis_tokens, verbose=0)
    rouge_l, _ = Rouge().compute_score(reference_tokens, hypothesis_tokens)
    cider, ciders = Cider().compute_score(reference_tokens, hypothesis_tokens)
    lines = [hypothesis_tokens[i][0] for i in hypotheses]
    distinct = set(lines)
    return Scores(
        bleu_1=float(bleu[0]),
        bleu_2=float(bleu[1]),
        bleu_3=float(bleu[2]),
        bleu_4=float(bleu[3]),
        rouge_l=float(rouge_l),
        cider=float(cider),
        meteor=_meteor(reference_tokens, hypothesis_tokens) if "meteor" in with_java else None,
        spice=_spice(reference_tokens, hypothesis_tokens) if "spice" in with_java else None,
        vocabulary_used=len({word for line in distinct for word in line.split()}),
        mean_length=statistics.fmean(len(line.split()) for line in lines),
        distinct_share=len(distinct) / len(lines),
        unseen_share=None if seen is None else sum(h not in seen for h in lines) / len(lines),
        bad_endings=share_of_bad_endings(hypotheses.values()),
        tokenizer=used,
        num_images=len(lines),
        distinct_captions=len(distinct),
        per_image_cider={i: float(c) for i, c in zip(hypotheses, ciders, strict=True)},
    )


def _check(
    hypotheses: Mapping[int, str],
    references: Mapping[int, Sequence[str]],
    tokenizer: str,
    with_java: Collection[str],
) -> None:
    """Raise ValueError for input that has no meaningful score."""
    if tokenizer not in get_args(Tokenizer):
        raise ValueError(f"tokenizer {tokenizer!r} is not one of {', '.join(get_args(Tokenizer))}")
    # A bare "meteor" would pass as a collection of letters.
    if isinstance(with_java, str) or not set(with_java) <= set(JAVA_METRICS):
        raise ValueError(
            f"with_java takes a collection of {', '.join(JAVA_METRICS)}, not {with_java!r}"
        )
    if not hypotheses and not references:
        raise ValueError("no images to score")
    for have, lack, ids in (
        ("a hypothesis", "references", hypotheses.keys() - references.keys()),
        ("references", "a hypothesis", references.keys() - hypotheses.keys()),
    ):
        if ids:
            shown = ", ".join(map(str, sorted(ids)[:5])) + (", …" if len(ids) > 5 else "")
            raise ValueError(f"{len(ids)} image(s) with {have} but without {lack}: {shown}")
    for image_id, captions in references.items():
        if isinstance(captions, str):
            raise ValueError(f"image {image_id}: references must be a list of captions, not a str")
        if not captions:
            raise ValueError(f"image {image_id}: empty references")


def _tokenise(
    captions: dict[int, list[str]], tokenizer: Tokenizer
) -> tuple[dict[int, list[str]], Tokenisation]:
    """Tokenise every caption; the second value names the tokeniser used."""
    if tokenizer == "words":
        return {i: [words(c) for c in group] for i, group in captions.items()}, "words"
    from training.metrics.ptb_tokenizer import tokenize_references

    prefer: dict[str, Literal["auto", "java", "python"]] = {
        "auto": "auto",
        "ptb-java": "java",
        "ptb-python": "python",
    }
    return tokenize_references(captions, prefer[tokenizer])


def _meteor(references: dict[int, list[str]], hypotheses: dict[int, list[str]]) -> float | None:
    """METEOR 1.5 (Denkowski and Lavie 2014), or None with the reason logged."""
    from pycocoevalcap.meteor.meteor import Meteor

    return _in_java(
        METRICS["meteor"].name, lambda: Meteor().compute_score(references, hypotheses)[0]
    )


def _spice(references: dict[int, list[str]], hypotheses: dict[int, list[str]]) -> float | None:
    """SPICE 1.0 (Anderson et al. 2016), or None with the reason logged."""
    from pycocoevalcap.spice import spice

    # Its constructor would download some 350 MB without asking.
    if not any((Path(spice.__file__).parent / "lib").glob("stanford-corenlp-3.6.0-models.jar")):
        _log.warning(
            "SPICE not scored: its models are missing; "
            "`python -m pycocoevalcap.spice.get_stanford_models` fetches them"
        )
        return None
    return _in_java(
        METRICS["spice"].name, lambda: spice.Spice().compute_score(references, hypotheses)[0]
    )


def _in_java(name: str, run: Callable[[], float]) -> float | None:
    if shutil.which("java") is None:
        _log.warning("%s not scored: no java on the path", name)
        return None
    try:
        # pycocoevalcap reports through print.
        with contextlib.redirect_stdout(io.StringIO()):
            return float(run())
    # What a broken Java set-up raises is anyone's guess (a parse error of its output, mostly), and
    # an optional score must not cost the others.
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        _log.warning("%s not scored: %s", name, error)
        return None
