"""From options to captions: the search or the sampling that every decoder of captions shares.

Several captions of one picture are different ones: what counts as a repeat, and looking for more.
"""

from __future__ import annotations

import math
import re
import secrets
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from models.api.options import CaptionOptions, DecodeDefaults
from models.api.results import Caption
from models.decoding.beam import beam_search
from models.decoding.protocol import Hypothesis, SearchSettings, State, Step
from models.decoding.sampling import sample

C = TypeVar("C")

ROUNDS = 3
"""How often candidates are looked for at most, the first time included."""

_NO_WORD = re.compile(r"[\W_]+")


def normalised(text: str) -> str:
    """Return `text` without what makes no difference: case, whitespace, punctuation."""
    return _NO_WORD.sub(" ", unicodedata.normalize("NFKC", text).casefold()).strip()


def distinct_candidates(
    look: Callable[[Sequence[int], int], Sequence[Sequence[C]]],
    batch: int,
    wanted: int,
    text: Callable[[C], str],
    score: Callable[[C], float],
) -> list[list[C]]:
    """Look for `wanted` different captions a picture.

    Of repeats the best stays. A picture that has too few after a round is looked at again, on its
    own account: what a picture gets never depends on the others in its batch.

    Args:
        look: called with indices of pictures and the round, 0-based; returns the candidates of
            each of those pictures. Later rounds should look wider, or draw afresh.
        batch: number of pictures.
        wanted: captions a picture, at least 1. At 1 there is one round only.
        text: of a candidate.
        score: of a candidate; the highest is the best.

    Returns:
        Per picture at most `wanted` candidates, best first; fewer, but at least one, where
        `ROUNDS` rounds have found no more that differ.
    """
    found: list[dict[str, C]] = [{} for _ in range(batch)]
    pictures: Sequence[int] = range(batch)
    for attempt in range(ROUNDS if wanted > 1 else 1):
        for picture, candidates in zip(pictures, look(pictures, attempt), strict=True):
            best = found[picture]
            for candidate in candidates:
                key = normalised(text(candidate))
                if key not in best or score(candidate) > score(best[key]):
                    best[key] = candidate
        pictures = [picture for picture in pictures if len(found[picture]) < wanted]
        if not pictures:
            break
    return [sorted(best.values(), key=lambda c: -score(c))[:wanted] for best in found]


S = TypeVar("S", bound=State)

_SEED_STEP = 0x9E3779B97F4A7C15
"""Between the seeds of one picture's rounds of sampling."""


def search_settings(
    options: CaptionOptions, defaults: DecodeDefaults, bos_id: int, eos_id: int, max_tokens: int
) -> SearchSettings:
    """Return the decode settings of `options` with a model's defaults filled in.

    `num_return` is what one search or drawing looks for, which repeats may lessen.

    Args:
        options: what was asked.
        defaults: what holds where nothing was.
        bos_id: token that starts every caption.
        eos_id: token that ends it.
        max_tokens: longest caption that the decoder can write.
    """
    wanted = options.num_captions or defaults.num_captions
    sampling = options.temperature is not None
    beams = 1 if sampling else max(options.num_beams or defaults.num_beams, wanted)
    return SearchSettings(
        bos_id=bos_id,
        eos_id=eos_id,
        max_tokens=min(options.max_length or defaults.max_length, max_tokens),
        # Where several are wanted, all that a search has found: some may read alike.
        num_return=wanted if sampling or wanted == 1 else beams,
        num_beams=beams,
        length_penalty=(
            defaults.length_penalty if options.length_penalty is None else options.length_penalty
        ),
        temperature=options.temperature or 1.0,
        top_p=options.top_p or defaults.top_p,
        no_repeat_ngram=defaults.no_repeat_ngram,
    )


def find_captions(
    step: Step[S],
    begin: Callable[[Sequence[int]], S],
    options: Sequence[CaptionOptions],
    settings: SearchSettings,
    wanted: int,
    text: Callable[[Hypothesis], str],
    rows_at_once: int | None = None,
) -> list[list[Hypothesis]]:
    """Return the different captions wanted of each picture, best first.

    Args:
        step: the decoder.
        begin: returns the decoder's state, one row a picture, for pictures given by index.
        options: what was asked of each picture, at least one; seeds and prompts may differ.
        settings: made of `options` by `search_settings`.
        wanted: captions a picture.
        text: a caption's words, to tell whether two differ.
        rows_at_once: beams or samples decoded together, at most, but never less than one
            picture's; None sets no limit.
    """
    sampling = options[0].temperature is not None
    # Without a seed every picture of every request draws afresh.
    seeds = [secrets.randbits(63) if each.seed is None else each.seed for each in options]

    def decode(
        pictures: Sequence[int], how: SearchSettings, attempt: int
    ) -> list[list[Hypothesis]]:
        state = begin(pictures)
        if not sampling:
            return beam_search(step, state, len(pictures), how)
        own = [(seeds[i] + attempt * _SEED_STEP) % 2**63 for i in pictures]
        return sample(step, state, len(pictures), how, own)

    def look(pictures: Sequence[int], attempt: int) -> list[list[Hypothesis]]:
        how = settings
        if attempt and not sampling:
            beams = settings.num_beams * 2**attempt
            how = replace(settings, num_beams=beams, num_return=beams)
        rows = how.num_return if sampling else how.num_beams
        at_once = max(1, rows_at_once // rows) if rows_at_once else len(pictures)
        found: list[list[Hypothesis]] = []
        for first in range(0, len(pictures), at_once):
            found += decode(pictures[first : first + at_once], how, attempt)
        return found

    return distinct_candidates(
        look,
        batch=len(options),
        wanted=wanted,
        text=text,
        score=lambda hypothesis: hypothesis.log_prob if sampling else hypothesis.score,
    )


def as_caption(text: str, hypothesis: Hypothesis, eos_id: int) -> Caption:
    """Return a decoded caption with its scores; `eos_id` is the token that ends a whole one."""
    tokens = hypothesis.tokens
    return Caption(
        text=text,
        log_prob=hypothesis.log_prob,
        confidence=min(1.0, math.exp(hypothesis.log_prob / max(len(tokens), 1))),
        tokens=len(tokens),
        truncated=tokens[-1:] != (eos_id,),
    )
